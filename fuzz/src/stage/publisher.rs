//! Our own publisher, which reads what stands in its place and must not be led astray by it.

use exeunt::machine::{Codes, Status, Verdict};
use exeunt::stage::conclude::Conclusion;
use exeunt::stage::observe::Observer;
use exeunt::stage::publish::{Claim, Life, Turn};
use exeunt::stage::{Directory, running};

use super::super::{is_sayable, script::Script};
use super::{NAMES, Played, RUN_IDS, Theatre, Truth};

impl Theatre {
    pub(super) fn publisher(&mut self, script: &mut Script<'_>) {
        let who = script.below(NAMES.len());
        let deed = script.below(8);
        match (deed, self.lives[who].take()) {
            (_, None) | (0, Some(_)) => self.claim(script, who),
            (1, Some(mut played)) => {
                if let Err(error) = played.life.publish_ready(&self.dir) {
                    is_sayable(&format!("{error:#}"));
                }
                self.lives[who] = Some(played);
            }
            (2, Some(mut played)) => {
                played.life.withdraw_ready(&self.dir);
                self.lives[who] = Some(played);
            }
            // Killed: the lock goes without a word.
            (3, Some(_)) => {}
            (_, Some(played)) => self.end(script, NAMES[who], played),
        }
    }

    fn claim(&mut self, script: &mut Script<'_>, who: usize) {
        let (name, run_id) = (NAMES[who], script.choose(&RUN_IDS));
        let policy = script.choose(&[Codes::NONE, Codes::FAILURES]);
        let turn = script.choose(&[Turn::Awaited, Turn::Foregone]);
        let before = Truth::of(&self.place, name);
        let claim = match Life::claim(&self.dir, name, run_id, policy, turn) {
            Ok(claim) => claim,
            Err(error) => return is_sayable(&format!("{error:#}")),
        };
        match claim {
            Claim::Held => assert!(before.is_held(), "{before:#?}"),
            Claim::Contested => assert!(turn == Turn::Awaited && !self.locks.is_empty()),
            Claim::Taken(life) => {
                let after = Truth::of(&self.place, name);
                assert!(!before.is_held(), "taken from one who lives: {before:#?}");
                assert!(after.is_held() && after.identity() != before.identity(), "{before:#?} {after:#?}");
                assert!(!after.has_marks_of_an_end(), "{after:#?}");
                let temporary = self.place.join(format!(".{}.new", running(name)));
                assert!(std::fs::symlink_metadata(temporary).is_err(), "the temporary file has stayed");
                let record = after.record().expect("its record");
                assert_eq!((record.name.as_str(), record.run_id.as_deref()), (name, run_id));
                assert!(record.attempt > 0);
                assert_eq!(Observer::new(name, run_id).look(&self.dir), Conclusion::Running);
                self.lives[who] = Some(Played { life: *life, run_id, tampered: false });
            }
        }
    }

    fn end(&mut self, script: &mut Script<'_>, name: &str, played: Played) {
        let status = script.choose(&[Status::Exited(0), Status::Exited(3), Status::Killed(9)]);
        let last = script.below(2) == 0;
        let Played { life, run_id, tampered } = played;
        let outcome = life.end(&self.dir, status, last);
        if let Err(error) = &outcome {
            return is_sayable(&format!("{error:#}"));
        }
        if !last || tampered && run_id.is_some() {
            return;
        }
        // In the directory that is held open, or in the one that has been made in its place.
        let new = Directory::open(&self.pod()).expect("it is there");
        let seen = [&self.dir, &new].map(|dir| Observer::new(name, run_id).look(dir));
        let told = Conclusion::Over(Verdict::Told(status));
        let is_told = |one: &Conclusion| *one == told || tampered && matches!(one, Conclusion::Over(_));
        assert!(seen.iter().any(is_told), "the end was published, and they see {seen:?}");
    }
}
