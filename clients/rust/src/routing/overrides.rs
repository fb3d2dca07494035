//! The tenants that do not follow their bucket, a million of them if need be.
//!
//! Layout: tenants are sorted by hash into as many bins as there are tenants, and a bin's records
//! lie one behind the other in `records`; `bins[i]` is where bin `i` begins. A look-up costs one
//! read of `bins` (4 bytes a tenant, often cached) and one of `records`, and compares the
//! tenant's own bytes, so it is exact. Overhead: 7 bytes a tenant.

use super::table::Route;

/// Most overrides of one migration; their records must stay below 4 GiB.
pub const OVERRIDES_MAX: usize = 8_000_000;

/// An immutable map from tenant to [`Route`], or to "cleared" when it patches another map.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides {
    bins: Box<[u32]>,
    records: Box<[u8]>,
    len: usize,
}

/// A record is `[bytes - 1, low byte of the hash, code, tenant..]`.
const HEAD_BYTES: usize = 3;

/// Code of "cleared".
const CLEARED: u8 = 0xff;

impl Overrides {
    /// Builds the map from `(hash, tenant, route)`; `None` is "cleared". Tenants must be distinct
    /// and valid (1 to 256 bytes).
    ///
    /// # Panics
    /// With more than 8,000,000 tenants; whoever accepts them checks that.
    pub(super) fn build(entries: &[(u32, &str, Option<Route>)]) -> Self {
        assert!(entries.len() <= OVERRIDES_MAX, "at most {OVERRIDES_MAX} overrides fit one migration");
        if entries.is_empty() {
            return Self::default();
        }
        // Sizes of the bins, then their ends, then (filling from the back) their starts.
        let mut bins = vec![0_u32; entries.len() + 1];
        for (hash, tenant, _) in entries {
            bins[bin(*hash, entries.len())] += (HEAD_BYTES + tenant.len()) as u32;
        }
        let mut end = 0;
        for size in &mut bins {
            end += *size;
            *size = end;
        }
        let mut records = vec![0; end as usize];
        for (hash, tenant, route) in entries {
            let start = &mut bins[bin(*hash, entries.len())];
            *start -= (HEAD_BYTES + tenant.len()) as u32;
            let record = &mut records[*start as usize..][..HEAD_BYTES + tenant.len()];
            record[0] = (tenant.len() - 1) as u8;
            record[1] = *hash as u8;
            record[2] = route.map_or(CLEARED, Route::code);
            record[HEAD_BYTES..].copy_from_slice(tenant.as_bytes());
        }
        Self { bins: bins.into(), records: records.into(), len: entries.len() }
    }

    /// `None`: no entry. `Some(None)`: cleared.
    #[inline]
    pub(super) fn get(&self, hash: u32, tenant: &str) -> Option<Option<Route>> {
        if self.len == 0 {
            return None;
        }
        let bin = bin(hash, self.len);
        let mut records = &self.records[self.bins[bin] as usize..self.bins[bin + 1] as usize];
        while let [bytes, tag, code, rest @ ..] = records {
            let (found, next) = rest.split_at(usize::from(*bytes) + 1);
            if *tag == hash as u8 && found == tenant.as_bytes() {
                return Some(Route::from_code(*code));
            }
            records = next;
        }
        None
    }

    /// Every tenant with its route (`None`: cleared), in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<Route>)> {
        let mut records = &self.records[..];
        std::iter::from_fn(move || {
            let [bytes, _, code, rest @ ..] = records else { return None };
            let (tenant, next) = rest.split_at(usize::from(*bytes) + 1);
            records = next;
            let tenant = str::from_utf8(tenant).expect("records hold what `build` copied from a str");
            Some((tenant, Route::from_code(*code)))
        })
    }

    /// Tenants in the map.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// No tenants at all?
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory held, beyond this struct.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.bins.len() * size_of::<u32>() + self.records.len()
    }
}

fn bin(hash: u32, bins: usize) -> usize {
    ((u64::from(hash) * bins as u64) >> 32) as usize
}
