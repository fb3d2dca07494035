//! The tenants that do not follow their bucket, a million of them if need be.
//!
//! Layout: tenants of one length share a room of slots as long as they are, so a slot's place
//! needs no index: a tenant lies in the slot that its hash names, or in the next free one behind
//! it (Knuth, TAOCP 3, 6.4, algorithm L). A look-up in a table that no cache holds costs one read,
//! mostly, and compares the tenant's own bytes, so it is exact. Overhead: 2 bytes a tenant, and
//! the free slots, at most [`FREE_BYTES`] a tenant.

use super::table::Route;

/// Most overrides of one migration.
pub const OVERRIDES_MAX: usize = 8_000_000;

/// An immutable map from tenant to [`Route`], or to "cleared" when it patches another map.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides {
    /// Of the tenants of `i + 1` bytes; up to the longest there is.
    rooms: Box<[Room]>,
    slots: Box<[u8]>,
    len: usize,
}

/// Where the tenants of one length are.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    /// Where in `slots` it begins.
    start: usize,
    /// Slots, at least one of them free; 0: there is no tenant of this length.
    slots: usize,
}

/// A slot is `[code, low byte of the hash, tenant..]`.
const HEAD_BYTES: usize = 2;

/// Free slots take at most so many bytes a tenant, and there are at most as many as tenants: the
/// more of them, the fewer slots a look-up reads.
const FREE_BYTES: usize = 48;

/// Code of "cleared". No route's code has the highest bit.
const CLEARED: u8 = 0xff;

/// Code of a free slot.
const FREE: u8 = 0xfe;

impl Overrides {
    /// Builds the map from `(hash, tenant, route)`; `None` is "cleared". Tenants must be distinct
    /// and valid (1 to 256 bytes).
    ///
    /// # Panics
    /// With more than 8,000,000 tenants; whoever accepts them checks that.
    pub(super) fn build(entries: &[(u32, &str, Option<Route>)]) -> Self {
        assert!(entries.len() <= OVERRIDES_MAX, "at most {OVERRIDES_MAX} overrides fit one migration");
        let longest = entries.iter().map(|(_, tenant, _)| tenant.len()).max().unwrap_or_default();
        let mut rooms = vec![Room::default(); longest];
        for (_, tenant, _) in entries {
            rooms[tenant.len() - 1].slots += 1;
        }
        let mut end = 0;
        for (room, tenant_bytes) in rooms.iter_mut().zip(1..).filter(|(room, _)| room.slots > 0) {
            let tenants = room.slots;
            let slot_bytes = HEAD_BYTES + tenant_bytes;
            *room = Room { start: end, slots: tenants + tenants.min(tenants * FREE_BYTES / slot_bytes) + 1 };
            end += room.slots * slot_bytes;
        }
        let mut slots = vec![FREE; end];
        for (hash, tenant, route) in entries {
            let room = rooms[tenant.len() - 1];
            let slot_bytes = HEAD_BYTES + tenant.len();
            let mut at = room.home(*hash);
            while slots[room.start + at * slot_bytes] != FREE {
                at = room.behind(at);
            }
            let slot = &mut slots[room.start + at * slot_bytes..][..slot_bytes];
            slot[0] = route.map_or(CLEARED, Route::code);
            slot[1] = *hash as u8;
            slot[HEAD_BYTES..].copy_from_slice(tenant.as_bytes());
        }
        Self { rooms: rooms.into(), slots: slots.into(), len: entries.len() }
    }

    /// `None`: no entry. `Some(None)`: cleared.
    #[inline]
    pub(super) fn get(&self, hash: u32, tenant: &str) -> Option<Option<Route>> {
        let room = self.rooms.get(tenant.len().wrapping_sub(1)).filter(|room| room.slots > 0)?;
        let slot_bytes = HEAD_BYTES + tenant.len();
        let slots = &self.slots[room.start..][..room.slots * slot_bytes];
        let mut at = room.home(hash);
        loop {
            let slot = &slots[at * slot_bytes..][..slot_bytes];
            if slot[0] == FREE {
                return None;
            }
            if slot[1] == hash as u8 && slot[HEAD_BYTES..] == *tenant.as_bytes() {
                return Some(Route::from_code(slot[0]));
            }
            at = room.behind(at);
        }
    }

    /// Every tenant with its route (`None`: cleared), in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<Route>)> {
        let slots = self.rooms.iter().zip(1..).flat_map(|(room, tenant_bytes)| {
            let slot_bytes = HEAD_BYTES + tenant_bytes;
            self.slots[room.start..][..room.slots * slot_bytes].chunks_exact(slot_bytes)
        });
        slots.filter(|slot| slot[0] != FREE).map(|slot| {
            let tenant =
                str::from_utf8(&slot[HEAD_BYTES..]).expect("slots hold what `build` copied from a str");
            (tenant, Route::from_code(slot[0]))
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
        self.rooms.len() * size_of::<Room>() + self.slots.len()
    }
}

impl Room {
    /// The slot that a hash names.
    fn home(self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots as u64) >> 32) as usize
    }

    /// The slot behind a slot; behind the last is the first.
    fn behind(self, at: usize) -> usize {
        if at + 1 == self.slots { 0 } else { at + 1 }
    }
}
