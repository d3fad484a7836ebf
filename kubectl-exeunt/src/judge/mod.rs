//! The rules, the rehearsal and the verdicts: pure, without input or output.

pub mod rehearse;
