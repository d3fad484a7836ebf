//! Fixture programs without a second binary: the test binary starts itself again in a *role*.
//!
//! `roles! { fn chatter() { … } }` at the top of a test file; `role(&house, "chatter")` is the `Run` that plays it. The
//! role is played before libtest starts, with one thread and a silent standard output: a thread of libtest would take
//! signals that were meant for the role.

use super::{House, Run};

pub const ROLE: &str = "HOUSE_ROLE";

/// A run of this same test binary as one of its roles.
pub fn role(house: &House, name: &str) -> Run {
    house.run(std::env::current_exe().expect("the test binary")).env(ROLE, name)
}

/// The role that this process is to play, if it is one.
pub fn mine() -> Option<String> {
    std::env::var(ROLE).ok()
}

#[macro_export]
macro_rules! roles {
    ($(fn $name:ident() $body:block)+) => {
        $(fn $name() $body)+

        #[used]
        // SAFETY: the functions in this section are called once each, before main, by the C library's start-up.
        #[unsafe(link_section = ".init_array")]
        static PLAY_A_ROLE: extern "C" fn() = {
            extern "C" fn play() {
                let Some(role) = $crate::house::role::mine() else { return };
                let play: fn() = match role.as_str() {
                    $(stringify!($name) => $name,)+
                    other => panic!("there is no role {other}"),
                };
                play();
                std::process::exit(0);
            }
            play
        };
    };
}
