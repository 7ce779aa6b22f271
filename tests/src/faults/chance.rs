//! Chance that can be played again.

/// A small generator of numbers. Xorshift: <https://doi.org/10.18637/jss.v008.i14>.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// A generator that always gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        // An odd state never becomes zero, where the generator would stay.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The low bits of this generator are the weak ones.
        (self.number() >> 16) % bound.max(1)
    }
}
