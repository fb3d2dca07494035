//! What a token whose signature was checked says of somebody.

use cutover_core::text::{is_visible, span};
use serde_json::{Map, Value};

use super::{LEEWAY_S, Person, Rejected, Settings};

/// Longest name, in bytes: an actor has at most 128.
const NAME_MAX_BYTES: usize = 100;
/// Longest `sub`, in bytes, as OpenID Connect says.
const SUB_MAX_BYTES: usize = 255;

/// Whom the claims are about, if they are valid at `now_ms`.
pub(super) fn person(
    settings: &Settings,
    claims: &Map<String, Value>,
    key: &str,
    now_ms: u64,
) -> Result<Person, Rejected> {
    let name = name(settings, claims)?;
    let until_ms = (time(claims, "exp")?.unwrap_or(0) + LEEWAY_S).saturating_mul(1000);
    if until_ms <= now_ms {
        return Err(Rejected::Expired { name, ago: span(now_ms - until_ms) });
    }
    let from_ms = time(claims, "nbf")?.unwrap_or(0).saturating_sub(LEEWAY_S).saturating_mul(1000);
    if from_ms > now_ms {
        return Err(Rejected::NotYet { name, until: span(from_ms - now_ms) });
    }
    let groups = groups(claims, &settings.groups);
    let roles =
        settings.roles.iter().filter(|(_, needs)| needs.iter().any(|group| groups.contains(&group.as_str())));
    let roles: Vec<_> = roles.map(|(role, _)| *role).collect();
    if roles.is_empty() {
        return Err(Rejected::NoRole { name });
    }
    Ok(Person { name, roles, until_ms, key: key.to_owned(), account: account(settings, claims) })
}

/// Nobody can choose their `sub`, and no two accounts of an issuer have the same.
fn account(settings: &Settings, claims: &Map<String, Value>) -> Option<String> {
    let sub = claims.get("sub")?.as_str()?;
    (!sub.is_empty() && sub.len() <= SUB_MAX_BYTES).then(|| format!("{} {sub}", settings.issuer))
}

fn name(settings: &Settings, claims: &Map<String, Value>) -> Result<String, Rejected> {
    let rejected = |lacks| Rejected::Claim { claim: settings.name.clone(), lacks };
    let name = find(claims, &settings.name).and_then(Value::as_str).ok_or_else(|| rejected("is no text"))?;
    if name.is_empty()
        || name.len() > NAME_MAX_BYTES
        || name.trim() != name
        || !name.chars().all(|it| is_visible(it) && (it == ' ' || !it.is_whitespace()))
    {
        return Err(rejected(
            "is no name: it has to have 1 to 100 bytes, without blanks around it or characters that nobody sees",
        ));
    }
    // Whoever may type an address of their choice could be anybody.
    let verified = claims.get("email_verified");
    if settings.name == "email"
        && verified.is_some_and(|it| it.as_bool() != Some(true) && it.as_str() != Some("true"))
    {
        return Err(rejected("is not verified (email_verified)"));
    }
    Ok(name.to_owned())
}

/// Seconds since 1970. Providers may write fractions.
fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<u64>, Rejected> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=1e15).contains(seconds));
    match seconds {
        Some(seconds) => Ok(Some(seconds as u64)),
        None => Err(Rejected::Claim { claim: claim.to_owned(), lacks: "is no time" }),
    }
}

fn groups<'a>(claims: &'a Map<String, Value>, path: &str) -> Vec<&'a str> {
    match find(claims, path) {
        Some(Value::String(group)) => vec![group],
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A claim by its name, or inside of others, as in `realm_access.roles`.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        find(claims.get(first)?.as_object()?, rest)
    })
}
