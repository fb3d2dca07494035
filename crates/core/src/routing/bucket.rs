//! The hash that spreads tenants over a million buckets.

/// Number of buckets. Shares are in parts per million.
pub const PPM: u32 = 1_000_000;

/// The bucket, `0..PPM`, of a tenant under a salt.
pub fn bucket(salt: &str, tenant: &str) -> u32 {
    bucket_of_hash(Salt::new(salt).hash(tenant))
}

/// `hash * PPM / 2^32`. It preserves the order of hashes, so a share is a range of hashes.
pub(super) fn bucket_of_hash(hash: u32) -> u32 {
    ((u64::from(hash) * u64::from(PPM)) >> 32) as u32
}

/// A salt with its colon, hashed up to its last whole word, so that a decision hashes only the tenant's
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt {
    state: u32,
    /// The last `rest_bytes` (0 to 3) bytes, little-endian, still to be mixed in.
    rest: u32,
    rest_bytes: u32,
    len: u32,
}

impl Salt {
    /// Hashes `salt + ":"`.
    pub fn new(salt: &str) -> Self {
        let bytes = [salt.as_bytes(), b":"].concat();
        let (words, rest) = bytes.as_chunks::<4>();
        let state = words.iter().fold(0, |state, word| mix(state, u32::from_le_bytes(*word)));
        Self { state, rest: tail(rest), rest_bytes: rest.len() as u32, len: bytes.len() as u32 }
    }

    /// `murmur3_x86_32(salt + ":" + tenant, seed 0)`, after Appleby's MurmurHash3.cpp.
    #[inline]
    pub fn hash(&self, tenant: &str) -> u32 {
        let bytes = tenant.as_bytes();
        let (words, last) = bytes.as_chunks::<4>();
        // Every word of the tenant straddles two words of the whole input by this many bits.
        let shift = self.rest_bytes * 8;
        let mut state = self.state;
        let mut carry = u64::from(self.rest);
        for word in words {
            carry |= u64::from(u32::from_le_bytes(*word)) << shift;
            state = mix(state, carry as u32);
            carry >>= 32;
        }
        carry |= u64::from(tail(last)) << shift;
        if self.rest_bytes as usize + last.len() >= 4 {
            state = mix(state, carry as u32);
            carry >>= 32;
        }
        // Mixing in zero changes nothing, so an empty tail needs no branch.
        state ^= scramble(carry as u32);
        finish(state ^ (self.len + bytes.len() as u32))
    }
}

fn tail(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte))
}

fn scramble(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

fn mix(state: u32, word: u32) -> u32 {
    (state ^ scramble(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

fn finish(mut hash: u32) -> u32 {
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
