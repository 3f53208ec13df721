//! Fingerprints of data: equal if and, but for chance, only if the data are.

/// FNV-1a of 128 bits: against mistakes, not against malice.
pub struct Fnv(u128);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Fnv {
    /// Of numbers, by their bits.
    pub fn of_bits(words: impl IntoIterator<Item = u32>) -> Self {
        let mut hash = Self::default();
        words.into_iter().for_each(|word| hash.add(&word.to_le_bytes()));
        hash
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
    }

    /// The number itself.
    pub fn value(&self) -> u128 {
        self.0
    }

    /// Thirty-two hexadecimal digits.
    pub fn text(&self) -> String {
        format!("{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        // The test vectors of draft-eastlake-fnv.
        let of = |text: &str| {
            let mut hash = Fnv::default();
            hash.add(text.as_bytes());
            hash.text()
        };
        assert_eq!(of(""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(of("a"), "d228cb696f1a8caf78912b704e4a8964");
        assert_eq!(of("foobar"), "343e1662793c64bf6f0d3597ba446f18");
    }
}
