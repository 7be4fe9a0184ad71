//! The images of an archive, and the one of them that is meant.

use super::choice::{ImageChoice, Platform};
use crate::error::{Failure, printable};

/// As many images as are looked at.
const MOST_IMAGES: usize = 500;

/// As many names and platforms as are listed in an error.
const MOST_LISTED: usize = 12;

/// An image of the archive, before it is chosen.
pub(super) struct Candidate<T> {
    pub(super) names: Vec<String>,
    /// `None` where it cannot be told: what says so is not there.
    pub(super) platform: Option<Platform>,
    /// What makes it another image than the others.
    pub(super) id: String,
    pub(super) what: T,
}

/// All of them, each once.
pub(super) struct Candidates<T>(Vec<Candidate<T>>);

impl<T> Default for Candidates<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Candidates<T> {
    /// One more; where it was found before, under more names.
    ///
    /// # Errors
    /// More of them than are looked at.
    pub(super) fn add(&mut self, candidate: Candidate<T>) -> Result<(), Failure> {
        match self.0.iter_mut().find(|known| known.id == candidate.id) {
            Some(known) => {
                let new = |name: &String| !known.names.contains(name);
                let names: Vec<String> = candidate.names.into_iter().filter(new).collect();
                known.names.extend(names);
            }
            None => self.0.push(candidate),
        }
        if self.0.len() > MOST_IMAGES {
            return Err(Failure::new(format!("more than {MOST_IMAGES} images in it")));
        }
        Ok(())
    }

    /// The one that is meant.
    ///
    /// # Errors
    /// None, or several, with what could be chosen.
    pub(super) fn one(self, choice: &ImageChoice) -> Result<Candidate<T>, Failure> {
        let Self(mut found) = self;
        if found.is_empty() {
            return Err(Failure::new("there is no image in it"));
        }
        let mut names: Vec<String> =
            found.iter().filter_map(|candidate| candidate.names.first().cloned()).collect();
        names.dedup();
        if let Some(wanted) = &choice.reference {
            found.retain(|candidate| candidate.names.contains(wanted));
            if found.is_empty() {
                let what = format!("no image in it is called '{}'", printable(wanted));
                return Err(with_names(Failure::new(what), &names));
            }
        }
        let is_another =
            |candidate: &Candidate<T>| candidate.names.first() != found[0].names.first();
        if choice.reference.is_none() && found.iter().any(is_another) {
            return Err(with_names(Failure::new("there are several images in it"), &names));
        }
        let wanted = choice.platform.clone().unwrap_or_else(Platform::here);
        let fit =
            |candidate: &Candidate<T>| candidate.platform.as_ref().and_then(|it| wanted.fit(it));
        let best = found.iter().filter_map(fit).min();
        let mut meant = (0..found.len()).filter(|at| best.is_some() && fit(&found[*at]) == best);
        match (meant.next(), found.len()) {
            (Some(_), _) if meant.next().is_some() => {
                Err(Failure::new(format!("there are several images for {wanted} in it"))
                    .why("they have the same name, or none"))
            }
            (Some(place), _) => Ok(found.swap_remove(place)),
            // Of one image nothing was chosen: that it is another machine's is told.
            (None, 1) if choice.platform.is_none() => Ok(found.remove(0)),
            (None, _) => {
                let mut there: Vec<String> = found
                    .iter()
                    .filter_map(|candidate| Some(candidate.platform.as_ref()?.to_string()))
                    .collect();
                there.sort_unstable();
                there.dedup();
                Err(Failure::new(format!("there is no image for {wanted} in it"))
                    .remedy(format!("--platform, of {}", listed(&there))))
            }
        }
    }
}

fn with_names(failure: Failure, names: &[String]) -> Failure {
    let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
    match names.is_empty() {
        true => failure.why("none of them has a name"),
        false => failure.remedy(format!("--ref, of {}", listed(&names))),
    }
}

fn listed(words: &[String]) -> String {
    let shown = words[..words.len().min(MOST_LISTED)].join(", ");
    match words.len().saturating_sub(MOST_LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
