//! When a filling disk makes clean-up early, and how much has to go.
//!
//! Between the marks nothing changes, so that cleaning does not begin and end with every measurement.

/// Percentages of the disk. The low mark is below the high one, or both are 0: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskMarks {
    /// Clean-up no longer waits for age when this much is used.
    pub high: u8,
    /// And waits again below this.
    pub low: u8,
}

impl DiskMarks {
    /// The low mark is this much below the high one unless somebody says otherwise.
    pub const GAP: u8 = 5;
}

impl Default for DiskMarks {
    /// 85 %: where a root file system begins to be a matter for people, with room left for one more image.
    fn default() -> Self {
        Self { high: 85, low: 85 - Self::GAP }
    }
}

/// A measurement of the disk that images and containers are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUsage {
    /// What programs could use if the disk were empty.
    pub size_bytes: u64,
    /// What they can use now.
    pub free_bytes: u64,
}

impl DiskUsage {
    fn used_bytes(self) -> u64 {
        self.size_bytes.saturating_sub(self.free_bytes)
    }

    /// Rounded up, as `df` shows it. A disk without size counts as empty.
    pub fn used_percent(self) -> u8 {
        if self.size_bytes == 0 {
            return 0;
        }
        let percent = (u128::from(self.used_bytes()) * 100).div_ceil(u128::from(self.size_bytes));
        u8::try_from(percent.min(100)).unwrap_or(100)
    }

    /// How many bytes have to go until the mark is reached.
    fn above(self, mark: u8) -> u64 {
        let allowed = u128::from(self.size_bytes) * u128::from(mark) / 100;
        self.used_bytes().saturating_sub(u64::try_from(allowed).unwrap_or(u64::MAX))
    }
}

/// What a measurement changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Began,
    Ended,
    /// As before.
    None,
}

/// Whether the disk is short of space.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pressure {
    /// The latest measurement while it is.
    short: Option<DiskUsage>,
}

impl Pressure {
    pub fn measured(&mut self, usage: DiskUsage, marks: DiskMarks) -> Turn {
        let used = usage.used_percent();
        let was = self.short.is_some();
        let mark = if was { marks.low } else { marks.high };
        let is = marks.high > 0 && used >= mark.max(1);
        self.short = is.then_some(usage);
        match (was, is) {
            (false, true) => Turn::Began,
            (true, false) => Turn::Ended,
            (true, true) | (false, false) => Turn::None,
        }
    }

    /// How many bytes have to go; `None` if the disk is not short of space.
    pub fn wanted_bytes(self, marks: DiskMarks) -> Option<u64> {
        self.short.map(|usage| usage.above(marks.low).max(1))
    }

    pub fn usage(self) -> Option<DiskUsage> {
        self.short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_begins_at_the_high_mark_and_ends_below_the_low_one() {
        let marks = DiskMarks { high: 85, low: 80 };
        let mut pressure = Pressure::default();
        let usage = |used: u64| DiskUsage { size_bytes: 1000, free_bytes: 1000 - used };
        for (used, turn, wanted) in [
            (800, Turn::None, None),
            (840, Turn::None, None),
            (850, Turn::Began, Some(50)),
            (990, Turn::None, Some(190)),
            (801, Turn::None, Some(1)),
            (790, Turn::Ended, None),
            (840, Turn::None, None),
            (1000, Turn::Began, Some(200)),
        ] {
            assert_eq!(pressure.measured(usage(used), marks), turn, "{used}");
            assert_eq!(pressure.wanted_bytes(marks), wanted, "{used}");
        }
    }

    #[test]
    fn the_marks_may_be_off_and_disks_may_be_odd() {
        let off = DiskMarks { high: 0, low: 0 };
        let full = DiskUsage { size_bytes: 10, free_bytes: 0 };
        assert_eq!(Pressure::default().measured(full, off), Turn::None);
        assert_eq!(DiskUsage { size_bytes: 0, free_bytes: 0 }.used_percent(), 0);
        assert_eq!(DiskUsage { size_bytes: 10, free_bytes: 20 }.used_percent(), 0);
        assert_eq!(DiskUsage { size_bytes: u64::MAX, free_bytes: 0 }.used_percent(), 100);
        assert_eq!(DiskUsage { size_bytes: 1000, free_bytes: 999 }.used_percent(), 1);
    }
}
