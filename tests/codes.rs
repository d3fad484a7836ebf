//! Sets of exit codes: how they are written, and that nothing else is taken for one.

use exeunt::machine::Codes;

fn members(codes: Codes) -> Vec<u8> {
    (0..=255).filter(|code| codes.contains(*code)).collect()
}

#[test]
fn a_set_is_a_list_a_range_or_all_but_these() {
    for (text, expected) in [
        ("42", vec![42]),
        ("42,43", vec![42, 43]),
        ("40-43,0", vec![0, 40, 41, 42, 43]),
        ("255", vec![255]),
        ("0-255", (0..=255).collect()),
        ("!0-253,255", vec![254]),
        ("!0,1", (2..=255).collect()),
    ] {
        assert_eq!(members(Codes::parse(text).expect(text)), expected, "{text}");
    }
    assert_eq!(Codes::parse("!0").expect("a set"), Codes::FAILURES);
}

#[test]
fn what_is_no_set_is_refused_with_the_right_form() {
    for text in ["", "!", "256", "-1", "+1", "1,", ",1", "5-2", "a", "1 ", "1,!2", "1-2-3", "0x1", "!!0"] {
        let error = Codes::parse(text).expect_err(text).to_string();
        assert!(error.contains("write 42,43 or 40-49, or !0,1 for all but these"), "{text:?}: {error}");
    }
}

#[test]
fn what_is_written_is_understood_again() {
    // xorshift: every density, from one code to all but one.
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    for round in 0..5000 {
        let mut codes = Codes::NONE;
        for code in 0..=255 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random % 17 < round % 18 {
                codes = codes.with(code);
            }
        }
        if codes != Codes::NONE {
            let text = codes.to_string();
            assert_eq!(Codes::parse(&text).expect(&text), codes, "{text}");
        }
    }
    for (codes, text) in [(Codes::FAILURES, "!0"), (Codes::NONE.with(42).with(43), "42,43"), (Codes::NONE, "")] {
        assert_eq!(codes.to_string(), text);
    }
}
