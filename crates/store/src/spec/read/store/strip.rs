//! What the columns of tenant and key leave out: `strip_prefix` and `strip_tenant_prefix`.

use std::ops::Range;

use toml::Spanned;

use super::super::{
    kind::Kind,
    section::{Given, Section},
    told::Told,
};
use crate::stripped::StripPrefixes;

const KEYS: [&str; 2] = ["strip_prefix", "strip_tenant_prefix"];

/// The prefixes as they are given: of keys, of tenants.
pub(super) struct Strip([Given<String>; 2]);

impl Strip {
    pub(super) fn take(section: &mut Section<'_>, told: &mut Told<'_>) -> Self {
        Self(KEYS.map(|key| section.take(key, told)))
    }

    /// `None`: something is wrong. `is_own_tenant`: one column is both.
    pub(super) fn prefixes(
        self,
        kind: Kind,
        is_own_tenant: bool,
        told: &mut Told<'_>,
    ) -> Option<StripPrefixes> {
        let mut is_wrong = self.0.iter().any(Given::is_wrong);
        for (at, given) in self.0.iter().enumerate() {
            let Some(given) = given.get() else { continue };
            let fault = match kind {
                Kind::Items => {
                    Some("a DynamoDB table has the whole ids: give it to the SQL store".to_owned())
                }
                _ if at == 1 && is_own_tenant => {
                    Some("one column is tenant and key: strip_prefix is enough, remove this".to_owned())
                }
                _ => StripPrefixes::fault(given.as_ref(), at == 1 || is_own_tenant),
            };
            if let Some(fault) = fault {
                told.invalid(given.span(), KEYS[at], fault);
                is_wrong = true;
            }
        }
        let [key, tenant] = self.0.map(|given| given.is().map_or_else(String::new, Spanned::into_inner));
        let tenant = if is_own_tenant { key.clone() } else { tenant };
        (!is_wrong).then_some(StripPrefixes { tenant, key })
    }
}

/// Refuses a prefix with which the keys of a record type do not all begin. `at`: where the prefix is.
pub(super) fn check_of_type(
    key_prefix: &str,
    prefixes: &StripPrefixes,
    at: Option<Range<usize>>,
    told: &mut Told<'_>,
) {
    if let Some(at) = at.filter(|_| !key_prefix.starts_with(&prefixes.key)) {
        let what = format!(
            "the keys of this type begin with {key_prefix:?}, so no more than that, or a beginning of it, can be left out"
        );
        told.invalid(at, KEYS[0], what);
    }
}

/// Where the prefix of keys is.
pub(super) fn span(section: &Section<'_>) -> Option<Range<usize>> {
    section.span_of(KEYS[0])
}
