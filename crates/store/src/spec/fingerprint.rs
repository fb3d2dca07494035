//! The fingerprint of a spec.

use std::fmt::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Spec, StoreSpec, StripPrefixes, TypeSpec};
use crate::mapping::{Child, Column, ColumnPath, KeyType, Mapping, OnMisfit, Spelling, Step, Versions};

/// Increased when the hashed input changes, or which records belong to a segment: old checkpoints are then
/// refused, not misread.
const FORMAT: u32 = 4;

pub(super) fn of(spec: &Spec) -> String {
    let mut content = vec![
        json!(FORMAT),
        json!(spec.migration),
        store(&spec.source),
        store(&spec.target),
        // A checkpoint's cursors belong to segments.
        json!(spec.limits.segments),
    ];
    if let Some(ttl) = &spec.ttl {
        // How long records have to live depends on it.
        content.push(json!({ "ttl": ttl.attribute(), "residual_ms": spec.residual_ms }));
    }
    let content = Value::Array(content);
    let hash = Sha256::digest(content.to_string());
    hash.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String can be written to");
        text
    })
}

fn store(store: &StoreSpec) -> Value {
    let fields = match store.url.dialect() {
        Some(_) => store.fields.of_table(store.mapping.is_some()),
        None => {
            let mut fields = store.fields.of_item();
            fields.extend([store.fields.tenant_type, store.fields.key_type].map(KeyType::name));
            fields
        }
    };
    let mut all = vec![json!(store.url.identity()), json!(store.table), json!(fields)];
    all.push(json!(store.mapping.as_ref().map(mapping)));
    if store.versions == Versions::Ledger {
        all.push(json!("ledger"));
    }
    if !store.strip_prefixes.is_empty() {
        let StripPrefixes { tenant, key } = &store.strip_prefixes;
        all.push(json!({ "strip_prefixes": [tenant, key] }));
    }
    if !store.types.is_empty() {
        let of_type = |it: &TypeSpec| json!([it.key_prefix, self::store(&it.store)]);
        all.push(store.types.iter().map(of_type).collect());
    }
    Value::Array(all)
}

fn steps(path: &ColumnPath) -> Vec<Value> {
    let step = |step: &Step| match step {
        Step::Name(name) => json!(name),
        Step::At(place) => json!(place),
    };
    path.steps().iter().map(step).collect()
}

fn mapping(mapping: &Mapping) -> Value {
    let mut columns: Vec<&Column> = mapping.columns().iter().collect();
    // Their order in the file has no meaning.
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    let column = |column: &&Column| {
        let mut parts = json!([column.name, steps(&column.path), column.kind.to_string(), column.required]);
        if let (Some(parts), true) = (parts.as_array_mut(), column.spelling != Spelling::default()) {
            let Spelling { format, zone } = &column.spelling;
            parts.push(json!([format!("{format:?}"), zone.iana_name()]));
        }
        if let (Some(parts), false) = (parts.as_array_mut(), column.labels.is_empty()) {
            parts.push(json!(column.labels));
        }
        if let (Some(parts), Some(fill)) = (parts.as_array_mut(), &column.fill) {
            parts.push(json!(format!("{fill:?}")));
        }
        if let (Some(parts), Some(prefix)) = (parts.as_array_mut(), &column.prefix) {
            parts.push(json!({ "prefix": prefix }));
        }
        if let (Some(parts), Some(template)) = (parts.as_array_mut(), &column.computed) {
            parts.push(json!({ "computed": template.to_string() }));
        }
        parts
    };
    let on_misfit = match mapping.on_misfit() {
        OnMisfit::Quarantine => "quarantine",
        OnMisfit::Overflow => "overflow",
    };
    let columns: Vec<_> = columns.iter().map(column).collect();
    let mut all = vec![json!(columns), json!(mapping.overflow()), json!(on_misfit)];
    let mut children: Vec<&Child> = mapping.children().iter().collect();
    children.sort_by(|one, other| one.table.cmp(&other.table));
    all.extend(children.into_iter().map(child));
    Value::Array(all)
}

fn child(child: &Child) -> Value {
    let names = child.primary();
    json!([child.table, steps(&child.path), names, mapping(&child.elements), child.of_values])
}
