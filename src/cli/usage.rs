//! What is wrong with a command line, in one line that says what to do.

use std::{error::Error as _, ffi::OsString};

use clap::{
    Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Flags of `ramp`.
const STAGES: [&str; 4] = ["--dual", "--mirrored", "--target-first", "--target-only"];

/// Parsing failed: why, and what to do. `command` and `args` are what was parsed.
pub(super) fn told(error: &clap::Error, command: Command, args: Vec<OsString>) -> String {
    let known = known(&command);
    let of_verb: Vec<(String, Vec<String>)> =
        command.get_subcommands().map(|verb| (verb.get_name().to_owned(), self::known(verb))).collect();
    // `plan apply` lacks the file, not `plan`.
    let path = verbs(command, args).join(" ");
    let verb = path.split(' ').next().filter(|verb| !verb.is_empty()).map(str::to_owned);
    let help = format!("see cutover help {path}");
    let help = help.trim_end();
    if error.kind() == ErrorKind::InvalidSubcommand {
        let name = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
        let verbs =
            of_verb.iter().find(|(of, _)| Some(of) == verb.as_ref()).map(|(_, verbs)| verbs.as_slice());
        return format!("{}; {help}", no_verb(&name, verb.as_deref(), verbs.unwrap_or_default(), &known));
    }
    format!("{}; {help}", wrong(error, &path, &of_verb))
}

/// That there is no such verb, and which was meant. `verbs`: those of a verb that has some.
fn no_verb(name: &str, verb: Option<&str>, verbs: &[String], known: &[String]) -> String {
    match (verb, verbs) {
        (Some(verb), [first, ..]) => {
            let meant = alike(name, verbs).map_or_else(
                || format!("give {}, like cutover {verb} {first} {name}", verbs.join(" or ")),
                |meant| format!("did you mean cutover {verb} {meant}?"),
            );
            format!("{verb} does not know {name:?}: {meant}")
        }
        _ => {
            let meant = alike(name, known).map(|meant| format!(", did you mean {meant}?"));
            format!("there is no verb {name:?}{}", meant.unwrap_or_default())
        }
    }
}

fn alike<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    let near = known.iter().map(|known| (strsim::jaro_winkler(name, known), known));
    near.filter(|(near, _)| *near > 0.75).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, known)| known)
}

/// Names of the verbs that are shown.
fn known(command: &Command) -> Vec<String> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| verb.get_name().to_owned()).collect()
}

/// The verb meant and the one below it, as far as the rest can be read without it being right.
fn verbs(command: Command, args: Vec<OsString>) -> Vec<String> {
    let mut known = command.clone();
    let Ok(read) = command.ignore_errors(true).try_get_matches_from(args) else { return Vec::new() };
    let (mut read, mut path) = (&read, Vec::new());
    while let Some((name, below)) = read.subcommand() {
        let Some(verb) = known.find_subcommand(name).filter(|verb| !verb.is_hide_set()).cloned() else {
            break;
        };
        path.push(name.to_owned());
        (known, read) = (verb, below);
    }
    path
}

/// `path`: the verb, and the one below it. `of_verb`: the verbs below each.
fn wrong(error: &clap::Error, path: &str, of_verb: &[(String, Vec<String>)]) -> String {
    let got = |kind| text(error, kind);
    let argument = got(ContextKind::InvalidArg);
    let value = got(ContextKind::InvalidValue);
    let alike = |kind| got(kind).map(|name| format!(", did you mean {name}?")).unwrap_or_default();
    // The flag of another stage would do something else.
    let alike_flag = |given: &str| match got(ContextKind::SuggestedArg) {
        Some(name) if STAGES.contains(&name.as_str()) && strsim::levenshtein(given, &name) > 3 => {
            String::new()
        }
        _ => alike(ContextKind::SuggestedArg),
    };
    let whose = if path.is_empty() { "cutover" } else { path };
    let below = of_verb.iter().find(|(verb, _)| verb == path).map_or(&[][..], |(_, below)| below);
    match (error.kind(), argument) {
        (ErrorKind::MissingSubcommand, _) if !below.is_empty() => {
            format!("{path} needs one of these: {}", below.join(", "))
        }
        (ErrorKind::MissingSubcommand, _) => "say what to do: no verb was given".to_owned(),
        (ErrorKind::UnknownArgument, Some(name)) if name == "--source-only" => {
            "source-only has no share of its own, it is what the others leave: --dual 0 takes everybody back to it"
                .to_owned()
        }
        (ErrorKind::UnknownArgument, Some(name)) if name.ends_with("-per-s") => {
            let key = name.trim_start_matches('-').replace('-', "_");
            format!(
                "{whose} has no flag {name:?}: set {key} under [limits] in the spec or, while the pass runs, use \
                 cutover tune JOB {name} N"
            )
        }
        (ErrorKind::UnknownArgument, Some(name)) if name.starts_with('-') => {
            let dashed = "; a value that begins with - goes after --";
            let hint = match (alike_flag(&name), error.get(ContextKind::Suggested)) {
                (alike, _) if !alike.is_empty() => alike,
                (_, Some(_)) if !name.starts_with("--") => dashed.to_owned(),
                _ => String::new(),
            };
            format!("{whose} has no flag {name:?}{hint}")
        }
        (ErrorKind::UnknownArgument, Some(name)) => {
            format!("{whose} takes no more arguments, but was given {name:?}: quote what has spaces")
        }
        (ErrorKind::InvalidValue, Some(name)) if value.as_deref().is_none_or(str::is_empty) => {
            format!("{name} needs a value")
        }
        (ErrorKind::InvalidValue, Some(name)) => {
            let valid = list(error, ContextKind::ValidValue).join(", ");
            let alike = alike(ContextKind::SuggestedValue);
            format!("{:?} is no {name}{alike}: give one of {valid}", value.unwrap_or_default())
        }
        (ErrorKind::ValueValidation, Some(name)) => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{name} can't be {:?}: {why}", value.unwrap_or_default())
        }
        (ErrorKind::MissingRequiredArgument, _) => {
            format!("{whose} also needs {}", list(error, ContextKind::InvalidArg).join(" "))
        }
        (ErrorKind::ArgumentConflict, Some(name)) => match got(ContextKind::PriorArg) {
            Some(other) if other != name => format!("give {name} or {other}, not both"),
            _ => format!("{name} was given twice: give it once"),
        },
        (ErrorKind::TooManyValues, Some(name)) => format!("{name} takes no value"),
        (ErrorKind::InvalidUtf8, _) => "an argument is not valid UTF-8".to_owned(),
        // clap's own words for what cutover's flags can't bring about today.
        (kind, name) => {
            let kind = kind.as_str().unwrap_or("the command line can't be read");
            [Some(kind.to_owned()), name].into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
    }
}

/// What clap knows of one thing, on one line.
fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    Some(list(error, kind)).filter(|all| !all.is_empty()).map(|all| all.join(" or "))
}

fn list(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        None | Some(ContextValue::None) => Vec::new(),
        Some(ContextValue::Strings(all)) => all.clone(),
        Some(one) => vec![one.to_string()],
    }
}
