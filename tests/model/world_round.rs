//! `RestartAllContainers`: every container of the Pod begins anew on the same volume, and the first of them is `exeunt reset`.
//! Told again step by step, in the order of `stage/reset.rs`.

use super::settings::{Fault, Setting};
use super::world::{Container, FRESH_MAIN, FRESH_SIDECAR, Label, Reset, Round, World};

/// What comes next of it. The second main is none of the Pod's: it goes on, or begins, while the volume is reset.
pub fn step(setting: &Setting, world: &World) -> Option<(Label, World)> {
    match world.round {
        Round::First | Round::Later if setting.rounds && world.goes_on() => {
            Some((Label("kubelet", "all containers are started anew"), world.ends_the_round(setting)))
        }
        Round::Resets(of, what) => Some(world.reset(setting, of, what)),
        Round::First | Round::Later => None,
    }
}

impl World {
    /// A Pod that is over is not started again.
    fn goes_on(&self) -> bool {
        let sidecars = self.sidecars.iter().map(|sidecar| sidecar.container);
        let over = |container: Container| matches!(container, Container::Gone(_));
        !self.deleted && !sidecars.chain([self.mains[0].container]).all(over)
    }

    /// All of them have been killed, and that is awaited.
    fn ends_the_round(&self, setting: &Setting) -> World {
        let mut next = *self;
        if let Some(file) = next.mains[0].file {
            next.files[file].locked = false;
        }
        next.mains[0] = FRESH_MAIN;
        for place in 0..setting.sidecars {
            next.sidecars[place] = FRESH_SIDECAR;
        }
        next.round = match setting.fault {
            Fault::ForgetsTheReset => Round::Later,
            _ => Round::Resets(0, Reset::TestsTheLocks),
        };
        next
    }

    fn reset(&self, setting: &Setting, of: usize, what: Reset) -> (Label, World) {
        let mut next = *self;
        let name = &mut next.names[of];
        let after =
            if of + 1 < setting.mains.count() { Round::Resets(of + 1, Reset::TestsTheLocks) } else { Round::Later };
        let what = match what {
            Reset::TestsTheLocks => {
                let lives = [name.running, name.terminated].iter().flatten().any(|file| self.files[*file].locked);
                if lives && setting.fault != Fault::ResetsTheLiving {
                    next.round = after;
                    "finds a life that goes on"
                } else {
                    next.round = Round::Resets(of, Reset::RemovesTheLife);
                    // What it has been is to be forgotten.
                    next.mains[of].staged &= lives;
                    "finds no life that goes on"
                }
            }
            Reset::RemovesTheLife => {
                name.running = None;
                next.round = Round::Resets(of, Reset::RemovesTheSentinel);
                next.ring(setting);
                "removes -running"
            }
            Reset::RemovesTheSentinel => {
                if setting.fault != Fault::ResetsTheLifeAlone {
                    name.terminated = None;
                }
                next.round = after;
                next.ring(setting);
                "removes -terminated"
            }
        };
        (Label("reset", what), next)
    }
}
