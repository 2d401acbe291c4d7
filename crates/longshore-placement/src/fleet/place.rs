//! The decision itself: one task, one instance, or the reasons against each.

use std::cmp::Reverse;

use longshore_base::{InstanceId, Seed};

use super::views::{Views, at_least};
use super::{Fleet, OccupyError};
use crate::ZONE_ATTRIBUTE;
use crate::bits::Bits;
use crate::constraint::Constraint;
use crate::needs::{RequiredAttribute, Status};
use crate::query::Subject as _;
use crate::refusal::{Reason, Refusal, Ruled, SAMPLE_MAX};
use crate::request::{Request, RequestSpec, Step};
use crate::strategy::Resource;

/// How often a candidate is sought by drawing any slot, before the candidates are counted.
const DRAWS_MAX: u64 = 6;

impl Fleet {
    /// Chooses the instance for one task (ecs-engine D4). Nothing is reserved: the caller lets the
    /// task [occupy](Fleet::occupy) the instance, then places the next.
    ///
    /// Ties are broken by `seed`, uniformly. Equal fleets of equal history, equal requests and
    /// equal seeds give equal answers.
    pub fn place_one(&self, request: &Request, seed: Seed) -> Result<InstanceId, Refusal> {
        let mut guard = self.views();
        let views = &mut *guard;
        let mut best = std::mem::take(&mut views.candidates);
        let found = self.narrow_to_best(views, request, &mut best);
        let chosen = if found { self.draw(&best, seed) } else { None };
        views.candidates = best;
        chosen.ok_or_else(|| self.refuse(views, request))
    }

    /// The instances that placement would choose among: the best by every strategy, tied.
    /// Ascending by id; empty where [`Fleet::place_one`] refuses.
    pub fn best_candidates(&self, request: &Request) -> Vec<InstanceId> {
        let mut best = Bits::default();
        self.narrow_to_best(&mut self.views(), request, &mut best);
        self.ids(&best)
    }

    /// The instances that meet everything but resources and connection: what a DAEMON service
    /// wants a task on (ecs-services E11). Those with status ACTIVE, ascending by id.
    /// `distinctInstance` is not looked at.
    pub fn eligible(&self, request: &Request) -> Vec<InstanceId> {
        self.ids(&self.eligible_bits(request))
    }

    /// Whether [`Fleet::eligible`] names any.
    pub fn is_any_eligible(&self, request: &Request) -> bool {
        !self.eligible_bits(request).is_empty()
    }

    fn eligible_bits(&self, request: &Request) -> Bits {
        let mut guard = self.views();
        let views = &mut *guard;
        let mut bits = views.filter(self, request).clone();
        bits.intersect(&self.active);
        for constraint in &request.spec().constraints {
            match constraint {
                Constraint::MemberOf(expression) if !expression.is_static() => {
                    bits.intersect(&views.expression(self, expression));
                }
                Constraint::MemberOf(_) | Constraint::DistinctInstance => {}
            }
        }
        bits
    }

    /// Whether one named instance can take the task: resources, attributes, location and
    /// connection, but neither pool nor constraints. This is all that StartTask asks
    /// (ecs-engine D5).
    pub fn check(&self, id: InstanceId, request: &Request) -> Result<(), Reason> {
        let slot = self.by_id.get(&id).copied().ok_or(Reason::Missing)?;
        self.check_slot(slot, request.spec())
    }

    /// Whether one named instance can take the task, with its constraints.
    pub fn check_all(&self, id: InstanceId, request: &Request) -> Result<(), Reason> {
        let slot = self.by_id.get(&id).copied().ok_or(Reason::Missing)?;
        let spec = request.spec();
        self.check_slot(slot, spec)?;
        for constraint in &spec.constraints {
            match constraint {
                Constraint::MemberOf(expression) => {
                    if !self.matches(id, expression) {
                        return Err(Reason::MemberOf(expression.text().clone()));
                    }
                }
                Constraint::DistinctInstance => {
                    if self.group_count(id, &spec.group) > 0 {
                        return Err(Reason::DistinctInstance);
                    }
                }
            }
        }
        Ok(())
    }

    fn check_slot(&self, slot: u32, spec: &RequestSpec) -> Result<(), Reason> {
        if !self.active.contains(slot) {
            return Err(Reason::NotActive);
        }
        if !self.connected.contains(slot) {
            return Err(Reason::Agent);
        }
        self.room_for(slot, &spec.needs).map_err(|error| short_of(&error))?;
        let lacking = self.lacking(slot, spec);
        if !lacking.is_empty() {
            return Err(Reason::Attribute(lacking.into()));
        }
        if !self.in_zones(slot, spec) {
            return Err(Reason::Location);
        }
        Ok(())
    }

    fn lacking(&self, slot: u32, spec: &RequestSpec) -> Vec<RequiredAttribute> {
        spec.required.iter().filter(|required| !self.has(slot, required)).cloned().collect()
    }

    pub(super) fn has_required(&self, slot: u32, spec: &RequestSpec) -> bool {
        spec.required.iter().all(|required| self.has(slot, required))
    }

    fn has(&self, slot: u32, required: &RequiredAttribute) -> bool {
        let Some(subject) = self.slot_subject(slot) else { return false };
        match &required.value {
            Some(value) => subject.attribute(&required.name) == Some(value),
            None => subject.attribute(&required.name).is_some(),
        }
    }

    pub(super) fn in_zones(&self, slot: u32, spec: &RequestSpec) -> bool {
        let Some(zones) = &spec.zones else { return true };
        let zone = self.slot_subject(slot).and_then(|subject| {
            let zone = subject.attribute(ZONE_ATTRIBUTE)?;
            Some(zones.iter().any(|wanted| **wanted == *zone))
        });
        zone.unwrap_or(false)
    }

    /// Leaves in `best` the instances that no strategy ranks below another. Says whether any is left.
    fn narrow_to_best(&self, views: &mut Views, request: &Request, best: &mut Bits) -> bool {
        let spec = request.spec();
        best.copy_from(views.fit(self, request));
        let group = self.groups.find(&spec.group);
        for constraint in &spec.constraints {
            match (constraint, group) {
                (Constraint::DistinctInstance, Some(group)) => views.distinct(self, group, best),
                (Constraint::DistinctInstance, None) => {} // the first of its group
                (Constraint::MemberOf(expression), _) => {
                    if !expression.is_static() {
                        best.intersect(&views.expression(self, expression));
                    }
                }
            }
        }
        if best.is_empty() {
            return false;
        }
        for step in request.steps.iter() {
            match (step, group) {
                (Step::Spread(field), Some(group)) => views.spread(self, group, field, best),
                (Step::Spread(_), None) => {} // none anywhere: all values are equal
                (Step::Least(resource), _) => {
                    let need = match resource {
                        Resource::Cpu => spec.needs.cpu.0,
                        Resource::Memory => spec.needs.memory.0,
                    };
                    views.least(self, *resource, need, best);
                }
                (Step::Most(resource), _) => views.most(self, *resource, best),
            }
        }
        true
    }

    /// One of `best`, each as likely as any other. Drawing any slot until it is one of them is
    /// uniform too, and needs no count while many are.
    fn draw(&self, best: &Bits, seed: Seed) -> Option<InstanceId> {
        let slot = (0..DRAWS_MAX)
            .map(|n| seed.of(n).below(self.slots.len()) as u32)
            .find(|&slot| best.contains(slot))
            .or_else(|| best.nth(seed.of(DRAWS_MAX).below(best.len() as usize) as u32))?;
        self.id_of(slot)
    }

    /// The instances that no count knows: neither ACTIVE nor DRAINING.
    pub(super) fn closed(&self) -> Bits {
        let mut closed = self.live.clone();
        closed.subtract(&self.active);
        let draining: Vec<u32> = closed.iter().filter(|&slot| self.is_draining(slot)).collect();
        draining.into_iter().for_each(|slot| closed.remove(slot));
        closed
    }

    fn is_draining(&self, slot: u32) -> bool {
        self.slots[slot as usize].instance.as_deref().is_some_and(|own| own.status == Status::Draining)
    }

    fn id_of(&self, slot: u32) -> Option<InstanceId> {
        self.slots[slot as usize].instance.as_deref().map(|instance| instance.id)
    }

    fn ids(&self, bits: &Bits) -> Vec<InstanceId> {
        let mut ids: Vec<InstanceId> = bits.iter().filter_map(|slot| self.id_of(slot)).collect();
        ids.sort_unstable();
        ids
    }

    /// Goes through the steps again, this time counting whom each rules out.
    fn refuse(&self, views: &mut Views, request: &Request) -> Refusal {
        let spec = request.spec();
        let mut considered = self.pools.bits(&spec.pool);
        let closed = self.closed();
        considered.subtract(&closed);
        let instances = self.live.len() - closed.len();
        let mut tally = Tally {
            fleet: self,
            instances,
            outside: instances - considered.len(),
            left: considered,
            ruled_out: Vec::new(),
            sample: Vec::new(),
        };
        tally.keep(Reason::NotActive, &self.active);
        tally.keep(Reason::Agent, &self.connected);
        tally.keep(Reason::Cpu, &at_least(&self.left.cpu, spec.needs.cpu.0));
        tally.keep(Reason::Memory, &at_least(&self.left.memory, spec.needs.memory.0));
        if !spec.needs.ports.is_empty() {
            tally.keep_if(Reason::Ports, |slot| {
                self.slots[slot as usize].ports_free(&spec.needs.ports).is_ok()
            });
        }
        if spec.needs.gpus > 0 {
            tally.keep_if(Reason::Gpu, |slot| self.slots[slot as usize].gpus_left() >= spec.needs.gpus);
        }
        if spec.needs.interfaces > 0 {
            tally.keep_if(Reason::Interface, |slot| {
                self.slots[slot as usize].interfaces_left() >= spec.needs.interfaces
            });
        }
        tally.keep_equipped(spec);
        tally.keep(Reason::Location, &self.zone_bits(spec));
        for constraint in &spec.constraints {
            match constraint {
                Constraint::MemberOf(expression) => {
                    let reason = Reason::MemberOf(expression.text().clone());
                    tally.keep(reason, &views.expression(self, expression));
                }
                Constraint::DistinctInstance => {
                    if let Some(group) = self.groups.find(&spec.group) {
                        let mut distinct = tally.left.clone();
                        views.distinct(self, group, &mut distinct);
                        tally.keep(Reason::DistinctInstance, &distinct);
                    }
                }
            }
        }
        debug_assert!(tally.left.is_empty(), "an instance that passes every step was not placed on");
        tally.finish(spec)
    }
}

fn short_of(error: &OccupyError) -> Reason {
    match error {
        OccupyError::NoInstance(_) | OccupyError::Twice(_) => Reason::Missing,
        OccupyError::Cpu { .. } => Reason::Cpu,
        OccupyError::Memory { .. } => Reason::Memory,
        OccupyError::Port(_) | OccupyError::PortCount => Reason::Ports,
        OccupyError::Gpus { .. } => Reason::Gpu,
        OccupyError::Interfaces { .. } => Reason::Interface,
    }
}

/// Counts, step by step, the instances that fail it first.
struct Tally<'a> {
    fleet: &'a Fleet,
    instances: u32,
    outside: u32,
    left: Bits,
    ruled_out: Vec<Ruled>,
    sample: Vec<(u32, Reason)>,
}

impl Tally<'_> {
    fn keep_if(&mut self, reason: Reason, passes: impl Fn(u32) -> bool) {
        let mut passing = Bits::default();
        self.left.iter().filter(|&slot| passes(slot)).for_each(|slot| passing.insert(slot));
        self.keep(reason, &passing);
    }

    fn keep(&mut self, reason: Reason, passing: &Bits) {
        let mut failing = self.left.clone();
        failing.subtract(passing);
        let Some(example) = failing.first().and_then(|slot| self.fleet.id_of(slot)) else { return };
        self.left.subtract(&failing);
        // What is not ACTIVE is no candidate, so that it fails nothing.
        if reason != Reason::NotActive {
            self.sample.extend(failing.iter().take(SAMPLE_MAX).map(|slot| (slot, reason.clone())));
        }
        let instances = failing.len();
        // The same expression may be asked for twice, by the definition and by the call; the
        // second time nobody is left to fail it.
        self.ruled_out.push(Ruled { reason, instances, example });
    }

    /// Those that lack the same attributes are counted together.
    fn keep_equipped(&mut self, spec: &RequestSpec) {
        let mut failing = self.left.clone();
        failing.subtract(&self.fleet.required_bits(spec));
        let mut alike = self.fleet.alike(failing, spec);
        alike.sort_by(|(a, _), (b, _)| (Reverse(a.len()), a).cmp(&(Reverse(b.len()), b)));
        for (lacking, slots) in alike {
            let mut passing = self.left.clone();
            passing.subtract(&slots);
            self.keep(Reason::Attribute(lacking.into()), &passing);
        }
    }

    fn finish(mut self, spec: &RequestSpec) -> Refusal {
        self.sample.sort_by_key(|(slot, _)| *slot);
        self.sample.truncate(SAMPLE_MAX);
        let id = |(slot, reason): (u32, Reason)| self.fleet.id_of(slot).map(|id| (id, reason));
        Refusal {
            pool: spec.pool.clone(),
            instances: self.instances,
            outside: self.outside,
            ruled_out: self.ruled_out,
            sample: self.sample.into_iter().filter_map(id).collect(),
        }
    }
}
