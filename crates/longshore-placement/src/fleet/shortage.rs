//! What keeps a pool from taking a task, in one answer for people: who is asked about a pool as a whole is not helped by
//! counts of the steps at which its instances failed.

use super::Fleet;
use crate::bits::Bits;
use crate::needs::{Needs, RequiredAttribute};
use crate::request::{Request, RequestSpec};

/// Why no instance of a pool takes a task, most fundamental first. Zones and constraints are not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// No instance of the pool is ACTIVE.
    NoInstance,
    /// No ACTIVE instance has all required attributes, whatever room it has; the one that lacks the fewest lacks these.
    /// Neither room nor one more instance of the same kind helps.
    Lacking(Vec<RequiredAttribute>),
    /// None of those that have all required attributes would have room if nothing else were on it. Ports are not
    /// looked at.
    TooLarge,
    /// Of those that are large enough, no agent is connected.
    Away,
    /// Those that are connected are full. `away`: one that is not has room.
    Full { away: bool },
}

impl Fleet {
    /// Why no instance of the pool that is asked takes the task. Only for a request that
    /// [`Fleet::place_one`] refused.
    pub fn shortage(&self, request: &Request) -> Shortage {
        let spec = request.spec();
        let mut active = self.pools.bits(&spec.pool);
        active.intersect(&self.active);
        if active.is_empty() {
            return Shortage::NoInstance;
        }
        let mut equipped = active.clone();
        equipped.intersect(&self.required_bits(spec));
        if equipped.is_empty() {
            let alike = self.alike(active, spec).into_iter();
            let least = alike.map(|(lacking, _)| lacking).min_by_key(Vec::len);
            return Shortage::Lacking(least.unwrap_or_default());
        }
        let (mut connected, mut away, mut has_room_away) = (false, false, false);
        for slot in equipped.iter().filter(|&slot| self.is_large_enough(slot, &spec.needs)) {
            if self.connected.contains(slot) {
                connected = true;
            } else {
                away = true;
                has_room_away = has_room_away || self.room_for(slot, &spec.needs).is_ok();
            }
        }
        match (connected, away) {
            (false, false) => Shortage::TooLarge,
            (false, true) => Shortage::Away,
            (true, _) => Shortage::Full { away: has_room_away },
        }
    }

    fn is_large_enough(&self, slot: u32, needs: &Needs) -> bool {
        let slot = &self.slots[slot as usize];
        slot.instance.as_deref().is_some_and(|own| {
            own.cpu >= needs.cpu
                && own.memory >= needs.memory
                && slot.gpus >= needs.gpus
                && slot.interfaces.is_none_or(|interfaces| interfaces >= needs.interfaces)
        })
    }

    /// Divides slots by which of the required attributes their instances lack. It takes a step per attribute and kind of
    /// instance, not per instance.
    pub(super) fn alike(&self, slots: Bits, spec: &RequestSpec) -> Vec<(Vec<RequiredAttribute>, Bits)> {
        let mut alike = vec![(Vec::new(), slots)];
        for required in &spec.required {
            let has = self.attributes.bits(&required.name, required.value.as_deref(), self.slots.len());
            let mut parted = Vec::new();
            for (lacking, slots) in &mut alike {
                let mut without = slots.clone();
                without.subtract(&has);
                if !without.is_empty() {
                    slots.subtract(&without);
                    let lacking = lacking.iter().chain([required]).cloned().collect();
                    parted.push((lacking, without));
                }
            }
            alike.extend(parted);
            alike.retain(|(_, slots)| !slots.is_empty());
        }
        alike
    }
}
