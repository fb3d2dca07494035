//! The tenants that do not follow their bucket, up to millions of them.
//!
//! Layout: tenants of the same length share an area of slots of that length (a room), so a slot's position
//! needs no index. A tenant is in the slot that its hash selects, or in the next free one after it (Knuth,
//! TAOCP 3, 6.4, algorithm L). A look-up in a table that is not in the cache usually costs one read. It
//! compares the tenant's own bytes, so it is exact. Overhead: 2 bytes per tenant, plus free slots of at most
//! [`FREE_BYTES`] per tenant.

use super::Route;

/// Maximum overrides of one migration.
pub const OVERRIDES_MAX: usize = 8_000_000;

/// An immutable map from tenant to [`Route`], or to "cleared" if it patches another map.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides {
    /// Entry `i` is the room of the tenants of `i + 1` bytes, up to the longest tenant.
    rooms: Box<[Room]>,
    slots: Box<[u8]>,
    len: usize,
}

/// The slots of the tenants of one length.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    /// Offset of its first slot in `slots`.
    start: usize,
    /// Number of slots, at least one of them free; 0: there is no tenant of this length.
    slots: usize,
}

/// A slot is `[code, low byte of the hash, tenant..]`.
const HEAD_BYTES: usize = 2;

/// Free slots take at most this many bytes per tenant, and there are at most as many as tenants. More free
/// slots mean fewer reads per look-up.
const FREE_BYTES: usize = 48;

/// Code of "cleared". No route's code has the highest bit.
const CLEARED: u8 = 0xff;

/// Code of a free slot.
const FREE: u8 = 0xfe;

impl Overrides {
    /// Builds the map from `(hash, tenant, route)`; `None` is "cleared". Tenants must be distinct and valid
    /// (1 to 256 bytes).
    ///
    /// # Panics
    /// If there are more than 8,000,000 tenants; callers check that first.
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

    /// Every tenant with its route (`None`: cleared), in no particular order.
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

    /// Number of tenants in the map.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no tenants.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heap memory in use.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.rooms.len() * size_of::<Room>() + self.slots.len()
    }
}

impl Room {
    /// The slot that a hash selects.
    fn home(self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots as u64) >> 32) as usize
    }

    /// The slot after a slot; after the last comes the first.
    fn behind(self, at: usize) -> usize {
        if at + 1 == self.slots { 0 } else { at + 1 }
    }
}
