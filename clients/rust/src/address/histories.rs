//! Which store's history each address has said. Controllers over one store say the same. So two addresses of different
//! installations are noticed, and no process goes from one to the other.

use std::collections::VecDeque;

use super::{error::FindError, place::Candidate};

/// So many histories of a place are remembered. Each restored store is one.
const HISTORIES: usize = 8;

/// What was learned about the places of an address.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The one that led last.
    pub(super) last: Option<Candidate>,
    /// The last histories that each place has said.
    said: Vec<VecDeque<String>>,
    /// The history of the controller that led last.
    pub(super) history: Option<String>,
    /// Rounds since one was found.
    pub(super) failed_rounds: u32,
}

/// What a place has just said: its number in the list, its name and a history.
pub(super) type Said = (usize, String, String);

impl Known {
    pub(super) fn of(places: usize) -> Self {
        Self { last: None, said: vec![VecDeque::new(); places], history: None, failed_rounds: 0 }
    }

    /// Whether nothing is known of a place.
    pub(super) fn is_silent(&self, place: usize) -> bool {
        self.said[place].is_empty()
    }

    /// Whether a place has said this history.
    pub(super) fn has_said(&self, place: usize, history: &str) -> bool {
        self.said[place].iter().any(|said| said == history)
    }

    pub(super) fn hear(&mut self, said: &[Said]) {
        for (place, _, history) in said {
            let said = &mut self.said[*place];
            if !said.contains(history) {
                said.push_back(history.clone());
            }
            if said.len() > HISTORIES {
                said.pop_front();
            }
        }
    }

    /// Whether to go on at the controller that leads, by what the places have just said, itself included. `held`: the
    /// history that this process goes by.
    ///
    /// A store that was restored has another history, and every controller over it then says so. A controller that this
    /// process knows by the old history may therefore say another one. One that was never heard with it may be another
    /// installation's: it counts only if no address is left that could say otherwise.
    pub(super) fn check(
        &self,
        leads: &Said,
        just_said: &[Said],
        held: Option<&str>,
    ) -> Result<(), FindError> {
        let (place, name, history) = leads;
        if held == Some(history.as_str()) {
            return Ok(());
        }
        if let Some((_, other, theirs)) = just_said.iter().find(|(_, _, theirs)| theirs != history) {
            return Err(FindError::Installations {
                one: name.clone(),
                history: history.clone(),
                other: other.clone(),
                other_history: theirs.clone(),
            });
        }
        let Some(held) = held else { return Ok(()) };
        let is_known = self.has_said(*place, held);
        let all_agree = (0..self.said.len()).all(|place| just_said.iter().any(|(said, _, _)| *said == place));
        if is_known || all_agree {
            return Ok(());
        }
        Err(FindError::OtherHistory { one: name.clone(), history: history.clone(), held: held.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn said(place: usize, history: &str) -> Said {
        (place, format!("http://{place}"), history.to_owned())
    }

    #[test]
    fn two_installations_are_refused_and_a_restored_one_is_not() {
        let mut known = Known::of(2);
        let (a, b) = (said(0, "one"), said(1, "two"));
        // A process that starts.
        known.check(&a, slice::from_ref(&a), None).expect("the other one does not answer");
        let refused = known.check(&a, &[a.clone(), b.clone()], None).expect_err("they differ").to_string();
        for part in ["http://0", "one", "http://1", "two", "installations"] {
            assert!(refused.contains(part), "{refused}");
        }
        // It is at the first one, which then ends.
        known.hear(slice::from_ref(&a));
        known.check(&a, &[a.clone(), b.clone()], Some("one")).expect("it stays where it is");
        known.check(&b, slice::from_ref(&b), Some("one")).expect_err("the first one may only be away");
        known.hear(slice::from_ref(&b));
        known.check(&b, slice::from_ref(&b), Some("one")).expect_err("that it said so before proves nothing");

        // Both are of one installation, which is restored.
        let mut known = Known::of(2);
        known.hear(&[said(0, "one"), said(1, "one")]);
        let restored = said(1, "two");
        known.check(&restored, slice::from_ref(&restored), Some("one")).expect("it is known by the old one");
        let lags = said(0, "one");
        known.check(&restored, &[restored.clone(), lags], Some("one")).expect_err("until both say so");

        // Started from a file, so nobody is known.
        let known = Known::of(2);
        known
            .check(&restored, slice::from_ref(&restored), Some("one"))
            .expect_err("it may be another installation");
        let both = [restored.clone(), said(0, "two")];
        known.check(&restored, &both, Some("one")).expect("nobody is left to say otherwise");
        Known::of(1).check(&said(0, "two"), &[said(0, "two")], Some("one")).expect("there is one address");
    }
}
