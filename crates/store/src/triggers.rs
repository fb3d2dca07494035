//! Triggers for programs without the SDK: docs/adr/0097-triggers-stamp-what-others-write.md.

/// A trigger that stamps what programs without the SDK write, or what such triggers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Its name. Empty: it is a function or a privilege.
    pub name: String,
    /// The statement that creates it.
    pub create: String,
    /// The statement that removes it. Empty: it goes with an earlier one.
    pub drop: String,
}

impl Trigger {
    /// The statements that remove them.
    pub fn drops(triggers: &[Self]) -> impl Iterator<Item = String> {
        triggers.iter().filter(|it| !it.drop.is_empty()).map(|it| format!("{};", it.drop))
    }
}

/// A trigger that the database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTrigger {
    /// Its name.
    pub name: String,
    /// What it runs, as the database has it. Empty: it is disabled.
    pub text: String,
}
