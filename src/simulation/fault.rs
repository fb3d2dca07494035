//! Faults in a rehearsal.

use std::{fmt, str::FromStr};

use super::Traffic;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// This share of all calls to the target fails.
    TargetErrors(f64),
    /// This share of the writes to the target fails.
    TargetWrites(f64),
    /// This share of all calls to both stores fails.
    BothErrors(f64),
    /// This share of the reads misses in the target.
    Misses(f64),
    /// All target calls of one instance fail.
    SickInstance,
}

impl Fault {
    /// Healthy traffic with the fault applied.
    pub(super) fn strike(self, well: Traffic) -> Traffic {
        match self {
            Self::None => well,
            Self::TargetErrors(rate) => Traffic { target_errors: rate, write_target_errors: rate, ..well },
            Self::TargetWrites(rate) => Traffic { write_target_errors: rate, ..well },
            Self::BothErrors(rate) => Traffic {
                target_errors: rate,
                source_errors: rate,
                write_target_errors: rate,
                write_source_errors: rate,
                ..well
            },
            Self::Misses(rate) => Traffic { misses: rate, ..well },
            Self::SickInstance => Traffic { sick: true, ..well },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rate) = match self {
            Self::None => ("none", None),
            Self::TargetErrors(rate) => ("target-errors", Some(rate)),
            Self::TargetWrites(rate) => ("target-writes", Some(rate)),
            Self::BothErrors(rate) => ("both-errors", Some(rate)),
            Self::Misses(rate) => ("misses", Some(rate)),
            Self::SickInstance => ("sick-instance", None),
        };
        match rate {
            Some(rate) => write!(f, "{name}={} %", rate * 100.0),
            None => f.write_str(name),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    /// A name and, for most faults, a percentage; default 100 %.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rate) = text.split_once('=').unwrap_or((text, "100"));
        let percent = rate.trim_end_matches('%').trim().parse::<f64>();
        let rate =
            percent.ok().filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
        let rate = rate.ok_or_else(|| format!("{text:?} has no percentage: give one like {name}=20%"))?;
        match name {
            "none" => Ok(Self::None),
            "target-errors" => Ok(Self::TargetErrors(rate)),
            "target-writes" => Ok(Self::TargetWrites(rate)),
            "both-errors" => Ok(Self::BothErrors(rate)),
            "misses" => Ok(Self::Misses(rate)),
            "sick-instance" => Ok(Self::SickInstance),
            _ => Err(format!(
                "{name:?} is no fault: give none, target-errors, target-writes, both-errors, misses or sick-instance"
            )),
        }
    }
}
