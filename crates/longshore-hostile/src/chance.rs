//! Draws from a seed, one after the other.

use longshore_base::Seed;

/// A stream of choices. Equal seeds make equal choices, so that a case can be made again from its number.
#[derive(Clone, Debug)]
pub struct Chance {
    seed: Seed,
    drawn: u64,
}

impl Chance {
    pub fn new(seed: Seed) -> Self {
        Self { seed, drawn: 0 }
    }

    fn next(&mut self) -> Seed {
        self.drawn += 1;
        self.seed.of(self.drawn)
    }

    pub fn bits(&mut self) -> u64 {
        self.next().bits()
    }

    /// From 0 to `bound - 1`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.next().below(bound)
    }

    /// True in `percent` of a hundred cases, on average.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `items`, of which there has to be at least one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A text of `length` characters: letters and digits, and about one in twenty something else.
    pub fn text(&mut self, length: usize) -> String {
        const USUAL: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789-_";
        const OTHER: [char; 16] = [
            ' ', '"', '\\', '/', '\n', '\u{0}', '\u{7f}', 'é', '😀', '\u{202e}', '%', '+', '<', '\'',
            '\u{feff}', ':',
        ];
        (0..length)
            .map(|_| if self.percent(95) { char::from(*self.pick(USUAL)) } else { *self.pick(&OTHER) })
            .collect()
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.bits().to_le_bytes()[0]).collect()
    }
}
