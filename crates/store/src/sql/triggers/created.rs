//! Whether the triggers are there that were printed.

use super::super::super::{CreatedTrigger, Trigger};

/// Their names as a list of a statement. `None`: a table without a ledger has none.
pub(in super::super::super) fn names_sql(triggers: &[Trigger]) -> Option<String> {
    let names = triggers.iter().filter(|it| !it.name.is_empty()).map(|it| format!("'{}'", it.name));
    let names: Vec<String> = names.collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// What is wrong if some of these are there. Without any of them there is no program that needs them.
pub(in super::super::super) fn incomplete(
    triggers: &[Trigger],
    created: &[CreatedTrigger],
) -> Option<String> {
    if created.is_empty() {
        return None;
    }
    let text: Vec<String> = triggers.iter().map(|it| squeezed(&it.create)).collect();
    let fault = |trigger: &Trigger| {
        let found = created.iter().find(|it| it.name.eq_ignore_ascii_case(&trigger.name));
        let what = match found.map(|it| squeezed(&it.text)) {
            None => "is not there",
            Some(runs) if runs.is_empty() => "is disabled",
            Some(runs) if !text.iter().any(|text| text.contains(&runs)) => "runs another text",
            Some(_) => return None,
        };
        Some(format!("{} {what}", trigger.name))
    };
    let faults: Vec<String> = triggers.iter().filter(|it| !it.name.is_empty()).filter_map(fault).collect();
    (!faults.is_empty()).then(|| {
        format!(
            "of the triggers for programs without the SDK, {}. What such programs write may get no version, so no pass \
             copies it. Stop them, run what cutover spec triggers prints, and then a backfill",
            faults.join(", ")
        )
    })
}

/// Clients of databases may have other blanks and ends of lines.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_disabled_or_of_another_build_is_named() {
        let trigger = |name: &str| Trigger {
            name: name.to_owned(),
            create: format!("CREATE TRIGGER {name} AFTER INSERT\n    SET {name} = 1"),
            drop: String::new(),
        };
        let function = Trigger { name: String::new(), ..trigger("f") };
        let triggers = [function, trigger("one"), trigger("two"), trigger("three")];
        assert_eq!(names_sql(&triggers).as_deref(), Some("'one', 'two', 'three'"));
        assert_eq!(names_sql(&triggers[..1]), None);
        let has = |name: &str, text: &str| CreatedTrigger { name: name.to_owned(), text: text.to_owned() };
        let whole =
            [has("one", "SET one = 1"), has("TWO", "\r\n SET  two = 1\n"), has("three", "SET three = 1")];
        assert_eq!(incomplete(&triggers, &whole), None);
        assert_eq!(incomplete(&triggers, &[]), None, "no program needs them");
        let told = incomplete(&triggers, &[has("one", "SET one = 2"), has("two", "")]).expect("faults");
        let expected = "SDK, one runs another text, two is disabled, three is not there. ";
        assert!(told.contains(expected), "{told}");
    }
}
