//! Which columns or attributes have the tenant and the key.

use super::{
    DraftSide, TableHas, line,
    name::{Names, column_name, is_alike, quoted, shown},
};
use crate::{
    Described,
    mapping::{KeyHolds, KeyType},
};

/// Tenant and key of one store, with their types in a DynamoDB item.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    pub(super) tenant: (String, KeyType),
    pub(super) key: (String, KeyType),
    /// What to look at.
    notes: Vec<String>,
}

impl Ids {
    fn new(tenant: (String, KeyType), key: (String, KeyType)) -> Self {
        Self { tenant, key, notes: Vec::new() }
    }

    fn is_own_tenant(&self) -> bool {
        self.tenant.0 == self.key.0
    }

    pub(super) fn has(&self, name: &str) -> bool {
        [&self.tenant.0, &self.key.0].into_iter().any(|id| id.eq_ignore_ascii_case(name))
    }

    pub(super) fn lines(&self, text: &mut String, is_dynamodb: bool) {
        self.notes.iter().for_each(|note| line(text, &format!("# {}", shown(note))));
        for (name, (field, kind)) in [("tenant", &self.tenant), ("key", &self.key)] {
            line(text, &format!("{name} = {}", quoted(field)));
            if is_dynamodb && *kind != KeyType::S {
                line(text, &format!("{name}_type = \"{}\"", kind.name()));
            }
        }
    }
}

/// Those of the source. Without a key they are names that it does not have.
pub(super) fn of_source(side: &DraftSide<'_>) -> Ids {
    match side.has {
        TableHas::Items([tenant, key]) => Ids::new(tenant.clone(), key.clone()),
        TableHas::Items([both, ..]) => Ids::new(both.clone(), both.clone()),
        TableHas::Columns(described) => of_columns(described),
        TableHas::Items([]) | TableHas::Nothing => {
            Ids::new(("tenant".to_owned(), KeyType::S), ("key".to_owned(), KeyType::S))
        }
    }
}

fn of_columns(described: &Described) -> Ids {
    let id = |name: &String| {
        let is_number = described.column(name).is_some_and(|it| it.key == Some(KeyHolds::Numbers));
        (name.clone(), if is_number { KeyType::N } else { KeyType::S })
    };
    let mut ids = match described.primary.as_slice() {
        [both] => {
            let mut ids = Ids::new(id(both), id(both));
            let note = "each record is a tenant of its own, because the primary key is one column. If another column says \
                        whose a record is, add it to the primary key and name it as tenant";
            ids.notes.push(note.to_owned());
            ids
        }
        [tenant, key] => Ids::new(id(tenant), id(key)),
        [tenant, others @ ..] => {
            let mut ids = Ids::new(id(tenant), others.last().map_or_else(|| id(tenant), id));
            let columns = described.primary.join(", ");
            ids.notes.push(format!(
                "NOT DECIDED: the primary key has more than two columns ({columns}), and Cutover takes two at most"
            ));
            ids
        }
        [] => {
            let first = described.columns.first().map(|column| &column.name);
            let mut ids = Ids::new(
                first.map_or_else(|| ("tenant".to_owned(), KeyType::S), id),
                first.map_or_else(|| ("key".to_owned(), KeyType::S), id),
            );
            ids.notes.push(
                "NOT DECIDED: the table has no primary key, so nobody can tell its rows apart".to_owned(),
            );
            ids
        }
    };
    let names = if ids.is_own_tenant() { vec![&ids.tenant.0] } else { vec![&ids.tenant.0, &ids.key.0] };
    let wrong = |name: &&&String| described.column(name).is_some_and(|column| column.key.is_none());
    let notes: Vec<String> = names
        .iter()
        .filter(wrong)
        .map(|name| {
            let is = described.column(name).map_or("?", |column| &column.shown);
            format!("NOT DECIDED: {name} is {is}, which can't be a key here")
        })
        .collect();
    ids.notes.extend(notes);
    ids
}

/// Those of the target, like the source's.
pub(super) fn of_target(side: &DraftSide<'_>, source: &Ids, names: &mut Names) -> Ids {
    match side.has {
        TableHas::Items([one, other]) if source.is_alike(&other.0, &one.0) => {
            Ids::new(other.clone(), one.clone())
        }
        TableHas::Items([_, ..]) => of_source(side),
        TableHas::Columns(described) => {
            let mut ids = of_columns(described);
            if source.is_alike(&ids.key.0, &ids.tenant.0) {
                std::mem::swap(&mut ids.tenant, &mut ids.key);
            }
            if ids.is_own_tenant() == source.is_own_tenant() {
                // The source says it already.
                ids.notes.retain(|note| note.contains("NOT DECIDED"));
            } else {
                ids.notes.push(
                    "NOT DECIDED: one of the tables has a key of one column, and the other one of two"
                        .to_owned(),
                );
            }
            ids
        }
        _ if side.url.dialect().is_none() => Ids { notes: Vec::new(), ..source.clone() },
        _ => {
            let [tenant, key] =
                [&source.tenant.0, &source.key.0].map(|name| column_name(std::slice::from_ref(name)));
            let of_tenant = names.take(&tenant);
            let of_key = if source.is_own_tenant() { of_tenant.clone() } else { names.take(&key) };
            Ids::new((of_tenant, KeyType::S), (of_key, KeyType::S))
        }
    }
}

impl Ids {
    /// Whether these are the source's tenant and key by name.
    fn is_alike(&self, tenant: &str, key: &str) -> bool {
        !self.is_own_tenant() && is_alike(&self.tenant.0, tenant) && is_alike(&self.key.0, key)
    }
}
