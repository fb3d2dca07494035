//! Reads a spec from TOML: first the file as written, then its meaning.

mod columns;
mod file;

use std::ops::RangeInclusive;

use toml::Spanned;

use super::{Limits, RESIDUAL_MS, Spec, SpecError, StoreSpec, StoreUrl};
use crate::mapping::{Fields, KeyType, NO_LEDGER, Versions, check_name};
use file::{File, LimitsSection, StoreSection, Where};

type Check<T> = Result<T, SpecError>;

pub(super) fn spec(text: &str) -> Check<Spec> {
    let file: File = toml::from_str(text).map_err(|error| SpecError::of_toml(text, &error))?;
    check_migration(text, &file.migration)?;
    if let Some(server) = &file.server {
        check_server(text, server)?;
    }
    let target_url = file.target.url.span();
    let source = store(text, file.source)?;
    let target = store(text, file.target)?;
    let same = source.table == target.table && source.url.identity() == target.url.identity();
    if same {
        let what = "source and target are the same table: a record would be copied onto itself";
        return Err(SpecError::invalid(text, target_url, "url", what));
    }
    let quarantine_table = match file.quarantine_table {
        None => "cutover_quarantine".to_owned(),
        Some(name) => {
            check_name(name.as_ref())
                .map_err(|error| SpecError::invalid(text, name.span(), "quarantine_table", error))?;
            if [&source.table, &target.table].contains(&name.as_ref()) {
                let what = "it is the table of a store: give it one of its own";
                return Err(SpecError::invalid(text, name.span(), "quarantine_table", what));
            }
            name.into_inner()
        }
    };
    Ok(Spec {
        migration: file.migration.into_inner(),
        server: file.server.map(Spanned::into_inner),
        source,
        target,
        quarantine_table,
        limits: limits(text, file.limits.unwrap_or_default())?,
        residual_ms: in_range(text, file.residual_ms, "residual_ms", RESIDUAL_MS, 0..=86_400_000)?,
    })
}

fn check_migration(text: &str, key: &Spanned<String>) -> Check<()> {
    let bytes = key.as_ref().as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let starts_well = bytes.first().is_some_and(plain);
    if starts_well && bytes.len() <= 63 && bytes.iter().all(|byte| plain(byte) || b"._-".contains(byte)) {
        return Ok(());
    }
    let what = "no migration's key: use up to 63 of [a-z0-9._-], a letter or digit first";
    Err(SpecError::invalid(text, key.span(), "migration", what))
}

fn check_server(text: &str, server: &Spanned<String>) -> Check<()> {
    match url::Url::parse(server.as_ref()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
        _ => {
            let what = "no address of a controller: write it like http://127.0.0.1:7070";
            Err(SpecError::invalid(text, server.span(), "server", what))
        }
    }
}

fn store(text: &str, section: StoreSection) -> Check<StoreSpec> {
    let at_url = section.url.span();
    let (url, in_url) = StoreUrl::parse(section.url.as_ref())
        .map_err(|error| SpecError::of_url(text, at_url.clone(), error))?;
    let table = table(text, &url, in_url, section.table.as_ref(), at_url.clone())?;
    if let Some(name) = &section.password_env {
        check_password_env(text, &url, name)?;
    }
    let default = Fields::default();
    let key_types = key_types(text, &url, &section)?;
    let fields = Fields {
        tenant: section.tenant.clone().unwrap_or(default.tenant),
        key: section.key.clone().unwrap_or(default.key),
        tenant_type: key_types.0,
        key_type: key_types.1,
        version: section.version.clone().unwrap_or(default.version),
        deleted: section.deleted.clone().unwrap_or(default.deleted),
        value: section.value.clone().unwrap_or(default.value),
    };
    let mapping = columns::mapping(text, &url, &section)?;
    let checked = match url.dialect() {
        Some(_) => {
            let names = mapping.iter().flat_map(|mapping| mapping.names());
            fields.check_table(mapping.is_some(), names)
        }
        None => fields.check_item(),
    };
    checked.map_err(|error| SpecError::invalid(text, at_url, "fields", error))?;
    let versions = versions(text, &url, &section)?;
    let password_env = section.password_env.map(Spanned::into_inner);
    Ok(StoreSpec { url, password_env, table, fields, mapping, versions })
}

fn table(
    text: &str,
    url: &StoreUrl,
    in_url: Option<String>,
    key: Option<&Spanned<String>>,
    at_url: std::ops::Range<usize>,
) -> Check<String> {
    let (name, span) = match (in_url, key) {
        (Some(name), None) => (name, at_url),
        (None, Some(key)) => (key.as_ref().clone(), key.span()),
        (Some(_), Some(key)) => {
            let what = "the url names the table already: remove one of the two";
            return Err(SpecError::invalid(text, key.span(), "table", what));
        }
        (None, None) => {
            let what = "it is missing: add table = \"orders\"";
            return Err(SpecError::invalid(text, at_url, "table", what));
        }
    };
    match url.dialect() {
        Some(_) => check_name(&name).map_err(|error| SpecError::invalid(text, span, "table", error))?,
        None => {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if !(3..=255).contains(&name.len()) || !name.bytes().all(allowed) {
                let what = format!("{name:?} is no DynamoDB table: use 3 to 255 of [A-Za-z0-9_.-]");
                return Err(SpecError::invalid(text, span, "table", what));
            }
        }
    }
    Ok(name)
}

fn versions(text: &str, url: &StoreUrl, section: &StoreSection) -> Check<Versions> {
    match &section.versions {
        Some(given) if matches!(given.as_ref(), Where::Ledger) => match url.dialect() {
            Some(_) => Ok(Versions::Ledger),
            _ => Err(SpecError::invalid(text, given.span(), "versions", NO_LEDGER)),
        },
        _ => Ok(Versions::Columns),
    }
}

/// The types of tenant and key.
fn key_types(text: &str, url: &StoreUrl, section: &StoreSection) -> Check<(KeyType, KeyType)> {
    let given = [(&section.tenant_type, "tenant_type"), (&section.key_type, "key_type")];
    if url.dialect().is_some()
        && let Some((span, key)) = given.iter().find_map(|(given, key)| Some((given.as_ref()?.span(), *key)))
    {
        let what = "in SQL tenant and key are text: remove it";
        return Err(SpecError::invalid(text, span, key, what));
    }
    let [tenant, key] = given.map(|(given, _)| given.as_ref().map(|given| *given.as_ref()));
    // If both are one attribute, naming its type once is enough.
    let one = section.tenant.is_some() && section.tenant == section.key;
    let other = |other: Option<KeyType>| other.filter(|_| one);
    Ok((tenant.or(other(key)).unwrap_or_default(), key.or(other(tenant)).unwrap_or_default()))
}

fn check_password_env(text: &str, url: &StoreUrl, name: &Spanned<String>) -> Check<()> {
    let what = if url.has_password() {
        "the url has a password already: remove one of the two"
    } else if !matches!(url, StoreUrl::Server { .. }) {
        "this store takes no password: remove it"
    } else if name.as_ref().is_empty() || name.as_ref().contains(['=', '\0']) {
        "no name of an environment variable: write it like ORDERS_DB_PASSWORD"
    } else {
        return Ok(());
    };
    Err(SpecError::invalid(text, name.span(), "password_env", what))
}

fn limits(text: &str, section: LimitsSection) -> Check<Limits> {
    let default = Limits::default();
    let most = i64::MAX as u64;
    Ok(Limits {
        rows_per_s: in_range(text, section.rows_per_s, "rows_per_s", default.rows_per_s, 0..=most)?,
        bytes_per_s: in_range(text, section.bytes_per_s, "bytes_per_s", default.bytes_per_s, 0..=most)?,
        chunk_ms: in_range(text, section.chunk_ms, "chunk_ms", default.chunk_ms, 10..=60_000)?,
        chunk_bytes: in_range(
            text,
            section.chunk_bytes,
            "chunk_bytes",
            default.chunk_bytes,
            1_000..=64_000_000,
        )?,
        lag_ms: in_range(text, section.lag_ms, "lag_ms", default.lag_ms, 0..=86_400_000)?,
        latency_ms: in_range(text, section.latency_ms, "latency_ms", default.latency_ms, 0..=60_000)?,
        segments: in_range(
            text,
            section.segments,
            "segments",
            default.segments.into(),
            1..=Limits::SEGMENTS_MAX.into(),
        )? as u32,
        workers: in_range(text, section.workers, "workers", default.workers.into(), 1..=256)? as u32,
    })
}

/// The number, or its default.
fn in_range(
    text: &str,
    given: Option<Spanned<u64>>,
    key: &'static str,
    default: u64,
    range: RangeInclusive<u64>,
) -> Check<u64> {
    let Some(given) = given else { return Ok(default) };
    if range.contains(given.as_ref()) {
        return Ok(*given.as_ref());
    }
    let what = format!("{} is out of range: give {} to {}", given.as_ref(), range.start(), range.end());
    Err(SpecError::invalid(text, given.span(), key, what))
}
