//! The outside of an attempt: the stage, and what is planted in it. Each wall plants canaries of
//! its own and others look at them, so that they are found by their type.

use crate::verify::attempt::{Try, planted};
use crate::verify::stage::Stage;
use std::any::Any;
use std::path::PathBuf;

/// What a wall plants outside, to see whether the inside gets at it.
pub trait Canary: Sized + 'static {
    /// Plants it in the stage. `shown` is what the inside is shown of the host on purpose.
    ///
    /// # Errors
    /// Why it could not be planted, for a reader.
    fn plant(stage: &Stage, shown: &[PathBuf]) -> Result<Self, String>;
}

/// What is planted, one canary of each type. One that could not be planted says why, and its probes
/// with it.
#[derive(Default)]
pub struct Canaries {
    planted: Vec<Box<dyn Any>>,
}

impl Canaries {
    /// Plants one more.
    pub fn plant<C: Canary>(&mut self, stage: &Stage, shown: &[PathBuf]) {
        self.planted.push(Box::new(C::plant(stage, shown)));
    }

    /// A canary, or why there is none.
    ///
    /// # Errors
    /// Why it could not be planted, for a reader.
    pub fn get<C: Canary>(&self) -> Result<&C, String> {
        let planted = self.planted.iter().find_map(|one| one.downcast_ref::<Result<C, String>>());
        match planted {
            Some(planted) => planted.as_ref().map_err(String::clone),
            None => Err("nothing plants it".into()),
        }
    }
}

/// The outside of an attempt.
pub struct Outside<'a> {
    /// The throw-away host.
    pub stage: &'a Stage,
    /// What is planted in it.
    pub canaries: &'a Canaries,
}

impl Outside<'_> {
    /// The attempt on a canary, if that could be planted. `call` is what would be called inside.
    pub fn planted<C: Canary>(&self, call: &str, attempt: impl FnOnce(&C) -> Try) -> Try {
        planted(&self.canaries.get::<C>(), call, |canary| attempt(canary))
    }
}
