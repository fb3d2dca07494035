//! Reads a spec from TOML, key by key. Whatever is wrong is told, and the rest is read all the same.

mod columns;
mod kind;
mod limits;
mod section;
mod store;
mod told;
mod ttl;

use toml::{Spanned, de::DeTable};

use super::{RESIDUAL_MS, Spec, SpecError, StoreSpec};
use crate::mapping::check_name;
use limits::in_range;
use section::{Given, Section};
use told::Told;

/// The spec, or all its mistakes by line; at least one.
pub(super) fn spec(text: &str) -> Result<Spec, Vec<SpecError>> {
    let (table, syntax) = DeTable::parse_recoverable(text);
    let mut told = Told::new(text, &syntax);
    let spec = file(Section::new(table.into_inner(), 0..0), &mut told);
    told.end(spec)
}

fn file(mut file: Section<'_>, told: &mut Told<'_>) -> Option<Spec> {
    let at = file.at.clone();
    let migration = file.take("migration", told);
    let server: Given<String> = file.take("server", told);
    let quarantine = file.take("quarantine_table", told);
    let residual = file.take("residual_ms", told);
    let ttl = file.take("ttl", told);
    let (source, target) = (file.section("source", told), file.section("target", told));
    let limits = file.section("limits", told);
    file.end(told);

    let migration = migration.required("migration", "add migration = \"orders\"", &at, told);
    let migration = migration.filter(|key| is_key(key, told));
    if let Some(server) = server.get() {
        check_server(server, told);
    }
    let residual_ms = in_range("residual_ms", residual, RESIDUAL_MS, 0..=86_400_000, told);
    let source = source.required("source", "add a section [source] with url and table", &at, told);
    let source = source.and_then(|section| store::read(section.into_inner(), told));
    let target = target.required("target", "add a section [target] with url and table", &at, told);
    let (at_target, target) = match target.map(Spanned::into_inner) {
        Some(section) => (section.url_span(), store::read(section, told)),
        None => (at, None),
    };
    if let (Some(source), Some(target)) = (&source, &target)
        && source.table_names().any(|one| target.table_names().any(|other| one == other))
        && source.url.identity() == target.url.identity()
    {
        told.invalid(
            at_target,
            "url",
            "source and target are the same table: a record would be copied onto itself",
        );
    }
    let quarantine_table = quarantine_table(quarantine, [&source, &target], told);
    let ttl = ttl::read(ttl, residual_ms, [&source, &target], told);
    let limits = limits::read(limits, told);
    Some(Spec {
        migration: migration?.into_inner(),
        server: server.is().map(Spanned::into_inner),
        source: source?,
        target: target?,
        quarantine_table,
        limits,
        residual_ms,
        ttl,
    })
}

fn is_key(key: &Spanned<String>, told: &mut Told<'_>) -> bool {
    let bytes = key.as_ref().as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let starts_well = bytes.first().is_some_and(plain);
    let fine =
        starts_well && bytes.len() <= 63 && bytes.iter().all(|byte| plain(byte) || b"._-".contains(byte));
    if !fine {
        let what = format!(
            "{:?} is not a valid key: use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
            key.as_ref()
        );
        told.invalid(key.span(), "migration", what);
    }
    fine
}

fn check_server(server: &Spanned<String>, told: &mut Told<'_>) {
    if let Err(error) = cutover_core::servers::parse(server.as_ref()) {
        told.invalid(server.span(), "server", error);
    }
}

fn quarantine_table(given: Given<String>, stores: [&Option<StoreSpec>; 2], told: &mut Told<'_>) -> String {
    let Some(name) = given.is() else { return "cutover_quarantine".to_owned() };
    if let Err(error) = check_name(name.as_ref()) {
        told.invalid(name.span(), "quarantine_table", error);
    } else if stores.into_iter().flatten().flat_map(StoreSpec::table_names).any(|it| it == name.as_ref()) {
        told.invalid(name.span(), "quarantine_table", "it is the table of a store: give it one of its own");
    }
    name.into_inner()
}
