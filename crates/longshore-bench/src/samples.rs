//! Measured durations and their percentiles.

use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub fn extend(&mut self, other: Samples) {
        self.0.extend(other.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that `percent` of the samples do not exceed; in milliseconds, zero if there are none.
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(rank).map_or(0.0, |value| value.as_secs_f64() * 1000.0)
    }

    pub fn median_ms(&self) -> f64 {
        self.percentile_ms(50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples = Samples::default();
        assert_eq!(samples.median_ms(), 0.0);
        for millis in [5, 1, 4, 2, 3] {
            samples.push(Duration::from_millis(millis));
        }
        assert_eq!(samples.median_ms(), 3.0);
        assert_eq!(samples.percentile_ms(99), 5.0);
        assert_eq!(samples.percentile_ms(0), 1.0);
        assert_eq!(samples.len(), 5);
    }
}
