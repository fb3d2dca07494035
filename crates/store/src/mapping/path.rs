//! Where in a document a value is, how it is taken out, and how it comes back.
//!
//! What is taken out of a list leaves a null there, so that the other elements keep their places. It is filled on the way
//! back. A list or map of which everything was taken is left out: reading back what was taken recreates it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use super::Reason;
use crate::document::{Attribute, DEPTH_MAX};

type Attributes = BTreeMap<String, Attribute>;

/// A name, followed by names that lead into maps and places that lead into lists. At least one step, at most
/// [`DEPTH_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnPath(Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a map.
    Name(String),
    /// Into a list: from 0.
    At(usize),
}

impl From<String> for Step {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl ColumnPath {
    /// `None`: no step, too many, an empty name, or no name at its beginning.
    pub fn new<S: Into<Step>>(steps: Vec<S>) -> Option<Self> {
        let steps: Vec<Step> = steps.into_iter().map(Into::into).collect();
        let is_empty = |step: &Step| matches!(step, Step::Name(name) if name.is_empty());
        let fine = steps.len() <= DEPTH_MAX
            && matches!(steps.first(), Some(Step::Name(_)))
            && !steps.iter().any(is_empty);
        fine.then_some(Self(steps))
    }

    /// `address.city`, `items[0].sku`: names separated by dots, and places in brackets.
    pub fn dotted(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, mut places) = part.split_at(part.find(['[', ']']).unwrap_or(part.len()));
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Name(name.to_owned()));
            while !places.is_empty() {
                let (digits, further) = places.strip_prefix('[')?.split_once(']')?;
                let place: usize = digits.parse().ok().filter(|place: &usize| place.to_string() == digits)?;
                steps.push(Step::At(place));
                places = further;
            }
        }
        Self::new(steps)
    }

    /// Its steps, from the outside in.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether one path is the other's, or leads into it.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| one == other)
    }

    /// The attribute at this path, if maps and lists lead to it.
    pub(crate) fn find<'a>(&self, attributes: &'a Attributes) -> Option<&'a Attribute> {
        let (Step::Name(first), further) = self.0.split_first()? else { return None };
        further.iter().try_fold(attributes.get(first)?, |inside, step| match (inside, step) {
            (Attribute::M(inner), Step::Name(name)) => inner.get(name),
            (Attribute::L(inner), Step::At(place)) => inner.get(*place),
            _ => None,
        })
    }

    /// Puts an attribute there. Those of one list have to come in order.
    pub(super) fn put(&self, attributes: &mut Attributes, attribute: Attribute) -> Result<(), Reason> {
        put_inside(attributes, &self.0, attribute)
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if index == 0 => f.write_str(name)?,
                Step::Name(name) => write!(f, ".{name}")?,
                Step::At(place) => write!(f, "[{place}]")?,
            }
        }
        Ok(())
    }
}

/// What remains without the paths that were taken.
pub(super) fn left(attributes: &Attributes, taken: &[&[Step]]) -> Attributes {
    let rest = attributes.iter().filter_map(|(name, attribute)| {
        let inside = inside(taken, |step| matches!(step, Step::Name(it) if it == name));
        Some((name.clone(), left_of(attribute, &inside)?))
    });
    rest.collect()
}

/// `None`: nothing remains.
fn left_of(attribute: &Attribute, taken: &[&[Step]]) -> Option<Attribute> {
    if taken.iter().any(|path| path.is_empty()) {
        return None;
    }
    match attribute {
        Attribute::M(inner) if !taken.is_empty() => {
            Some(left(inner, taken)).filter(|rest| !rest.is_empty()).map(Attribute::M)
        }
        Attribute::L(inner) if !taken.is_empty() => {
            let rest = inner
                .iter()
                .enumerate()
                .map(|(place, element)| left_of(element, &inside(taken, |step| *step == Step::At(place))));
            let rest: Vec<_> = rest.collect();
            let remains = rest.iter().any(Option::is_some);
            remains.then(|| Attribute::L(rest.into_iter().map(|it| it.unwrap_or(Attribute::Null)).collect()))
        }
        other => Some(other.clone()),
    }
}

/// The paths that lead on from this step.
fn inside<'a>(paths: &[&'a [Step]], is_it: impl Fn(&Step) -> bool) -> Vec<&'a [Step]> {
    let split = paths.iter().filter_map(|path| path.split_first());
    split.filter(|(step, _)| is_it(step)).map(|(_, further)| further).collect()
}

fn put_inside(attributes: &mut Attributes, path: &[Step], attribute: Attribute) -> Result<(), Reason> {
    let Some((Step::Name(name), further)) = path.split_first() else { return Err(Reason::Both) };
    match attributes.entry(name.clone()) {
        Entry::Vacant(place) => drop(place.insert(grown(further, attribute)?)),
        Entry::Occupied(mut place) => put_into(place.get_mut(), further, attribute)?,
    }
    Ok(())
}

fn put_into(place: &mut Attribute, path: &[Step], attribute: Attribute) -> Result<(), Reason> {
    match (place, path) {
        (Attribute::M(inner), [_, ..]) => put_inside(inner, path, attribute),
        (Attribute::L(inner), [Step::At(place), further @ ..]) => {
            let length = inner.len();
            match inner.get_mut(*place) {
                Some(hole @ Attribute::Null) => *hole = grown(further, attribute)?,
                Some(element) => put_into(element, further, attribute)?,
                None if *place == length => inner.push(grown(further, attribute)?),
                None => return Err(Reason::Gap),
            }
            Ok(())
        }
        _ => Err(Reason::Both),
    }
}

/// The attribute within new maps and lists.
fn grown(path: &[Step], attribute: Attribute) -> Result<Attribute, Reason> {
    Ok(match path {
        [] => attribute,
        [Step::Name(name), further @ ..] => {
            Attribute::M([(name.clone(), grown(further, attribute)?)].into_iter().collect())
        }
        [Step::At(0), further @ ..] => Attribute::L(vec![grown(further, attribute)?]),
        [Step::At(_), ..] => return Err(Reason::Gap),
    })
}
