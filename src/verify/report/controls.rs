//! What the controls have shown.

/// How many of the crossings that were tried have crossed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many have crossed.
    pub crossed: usize,
    /// How many were tried.
    pub of: usize,
}

impl FromIterator<bool> for Tally {
    fn from_iter<T: IntoIterator<Item = bool>>(crossed: T) -> Self {
        crossed.into_iter().fold(Self::default(), |tally, crossed| Self {
            crossed: tally.crossed + usize::from(crossed),
            of: tally.of + 1,
        })
    }
}

/// What the controls have shown.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    /// Without walls: all must cross.
    pub open: Tally,
    /// With all walls: none may.
    pub closed: Tally,
    /// What was not tried, because what it was to reach could not be set up.
    pub unplanted: usize,
    /// Why the container with all walls could not be started.
    pub not_started: Option<String>,
}

impl Controls {
    /// What has gone wrong with them.
    pub fn failed(&self) -> Option<String> {
        let (open, closed) = (self.open, self.closed);
        if open.crossed < open.of {
            Some(format!("without walls only {} of {} crossings succeed", open.crossed, open.of))
        } else if closed.crossed > 0 {
            Some(format!("with all walls {} of {} crossings succeed", closed.crossed, closed.of))
        } else if self.unplanted > 0 {
            Some(format!("{} crossings could not be set up", self.unplanted))
        } else {
            self.not_started.as_ref().map(|reason| {
                format!("the container with all walls could not be started: {reason}")
            })
        }
    }
}
