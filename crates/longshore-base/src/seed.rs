//! Seeds: the only source of chance that a decision may use.

use crate::ids::{ContainerId, DeploymentId, InstanceId, ServiceDeploymentId, TaskId};

/// A source of chance that is handed in. Equal seeds give equal draws.
///
/// A program draws one seed per command from the operating system; a simulation derives all of
/// them from the seed on its command line. 128 bits, so that ids made from it can be guessed no
/// more easily than random ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(u128);

impl Seed {
    pub const fn new(value: u128) -> Self {
        Self(value)
    }

    /// An independent seed for the `n`th part of a decision.
    pub fn of(self, n: u64) -> Seed {
        let low = mix(self.0 as u64 ^ mix(n));
        let high = mix((self.0 >> 64) as u64 ^ low.rotate_left(32));
        Seed(((high as u128) << 64) | low as u128)
    }

    /// 64 well-mixed bits.
    pub fn bits(self) -> u64 {
        mix(self.0 as u64 ^ mix((self.0 >> 64) as u64))
    }

    /// All of it, for whoever mixes it with a secret of his own.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// A number in `0..bound`; zero when `bound` is zero.
    pub fn below(self, bound: usize) -> usize {
        ((self.bits() as u128 * bound as u128) >> 64) as usize
    }
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection that mixes every bit.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Draws the ids of one command from its seed, in order, so that a replay draws the same.
#[derive(Debug)]
pub struct Ids {
    seed: Seed,
    drawn: u64,
}

impl Ids {
    pub fn new(seed: Seed) -> Self {
        Self { seed, drawn: 0 }
    }

    /// The next independent seed.
    pub fn seed(&mut self) -> Seed {
        self.drawn += 1;
        self.seed.of(self.drawn)
    }

    fn bits128(&mut self) -> u128 {
        self.seed().0
    }

    pub fn task(&mut self) -> TaskId {
        TaskId::from_bits(self.bits128())
    }

    pub fn instance(&mut self) -> InstanceId {
        InstanceId::from_bits(self.bits128())
    }

    pub fn container(&mut self) -> ContainerId {
        ContainerId::from_bits(uuid_bits(self.bits128()))
    }

    /// A random (version 4) UUID in its usual text form.
    pub fn uuid(&mut self) -> String {
        ContainerId::from_bits(uuid_bits(self.bits128())).to_string()
    }

    /// 64 bits, because the id is `ecs-svc/` and a decimal number of that size.
    pub fn deployment(&mut self) -> DeploymentId {
        DeploymentId::from_bits(self.seed().bits())
    }

    pub fn service_deployment(&mut self) -> ServiceDeploymentId {
        ServiceDeploymentId::from_bits(self.bits128())
    }
}

/// Sets the version (4) and variant bits of RFC 9562.
fn uuid_bits(bits: u128) -> u128 {
    (bits & !(0xf000_u128 << 64) & !(0xc000_u128 << 48)) | (0x4000_u128 << 64) | (0x8000_u128 << 48)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_ids() {
        let draw = |seed| {
            let mut ids = Ids::new(Seed::new(seed));
            (ids.task(), ids.container(), ids.deployment())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn uuids_carry_version_and_variant() {
        let mut ids = Ids::new(Seed::new(1));
        for _ in 0..100 {
            let uuid = ids.uuid();
            assert_eq!(uuid.len(), 36);
            assert_eq!(&uuid[14..15], "4", "{uuid}");
            assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
        }
    }

    #[test]
    fn below_stays_below() {
        for n in 0..1000 {
            assert!(Seed::new(3).of(n).below(7) < 7);
        }
        assert_eq!(Seed::new(3).below(0), 0);
    }
}
