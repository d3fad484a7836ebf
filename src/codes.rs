//! Sets of exit codes as people write them: `42,43`, `40-49`, `!0,1` for all but these.

use crate::machine::Codes;
use anyhow::{Context, Result, ensure};
use std::fmt;

impl Codes {
    /// Understands a set of exit codes.
    ///
    /// # Errors
    /// What is wrong with it, and how it is written.
    pub fn parse(text: &str) -> Result<Codes> {
        let (list, all_but) = text.strip_prefix('!').map_or((text, false), |list| (list, true));
        let mut codes = Codes::NONE;
        for part in list.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse::<u8>().ok().filter(|_| digits)
            };
            let how = || format!("\"{text}\" is no set of exit codes; write 42,43 or 40-49, or !0,1 for all but these");
            let (from, to) = (number(from).with_context(how)?, number(to).with_context(how)?);
            ensure!(from <= to, "{}", how());
            codes = (from..=to).fold(codes, Codes::with);
        }
        Ok(if all_but { codes.others() } else { codes })
    }
}

impl fmt::Display for Codes {
    /// In the form that [`Codes::parse`] takes, whichever of the two is the shorter.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let count = (0..=255).filter(|code| self.contains(*code)).count();
        let (set, mut before) = if count > 128 && count < 256 { (self.others(), "!") } else { (*self, "") };
        let mut code = 0u16;
        let holds = |code: u16| u8::try_from(code).is_ok_and(|code| set.contains(code));
        while code < 256 {
            let from = code;
            while holds(code) {
                code += 1;
            }
            match code - from {
                0 => {}
                1 => write!(out, "{before}{from}")?,
                2 => write!(out, "{before}{from},{}", code - 1)?,
                _ => write!(out, "{before}{from}-{}", code - 1)?,
            }
            if code > from {
                before = ",";
            }
            code += 1;
        }
        Ok(())
    }
}
