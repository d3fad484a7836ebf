//! What a plain scalar is, as Kubernetes' own reader sees it: YAML 1.1 with `yes`, `on` and octal numbers.

/// The kind of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// `true`, and what YAML 1.1 holds for it.
    Bool(bool),
    /// A number without fraction that fits.
    Int(i64),
    /// Any other number.
    Float,
    /// Text: whatever is quoted, a block scalar, or nothing of the above.
    Str,
}

/// The kind of a plain scalar without a tag.
pub(super) fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Kind::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Kind::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | ".nan" | ".NaN" | ".NAN" => return Kind::Float,
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Kind::Str;
    }
    let digits = text.replace('_', "");
    let (sign, number) = match digits.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let radix = |prefix: &str, radix| {
        let number = number.strip_prefix(prefix)?;
        number.starts_with(|c: char| c.is_ascii_hexdigit()).then(|| i64::from_str_radix(number, radix).ok()).flatten()
    };
    let octal = || radix("0o", 8).or_else(|| (number.len() > 1).then(|| radix("0", 8)).flatten());
    let decimal = || number.starts_with(|c: char| c.is_ascii_digit()).then(|| number.parse().ok()).flatten();
    if let Some(value) = radix("0x", 16).or_else(|| radix("0b", 2)).or_else(octal).or_else(decimal) {
        return Kind::Int(sign * value);
    }
    // What std reads and YAML does not: "inf", "nan", "infinity".
    let float = number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && number.bytes().any(|b| b.is_ascii_digit())
        && number.parse::<f64>().is_ok();
    if float { Kind::Float } else { Kind::Str }
}
