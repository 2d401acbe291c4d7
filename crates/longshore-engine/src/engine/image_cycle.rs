//! The regular round of image clean-up: list, choose, remove one after another.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use longshore_base::Timestamp;

use crate::action::{Action, OpId};
use crate::input::{ListedImage, OpError};
use crate::journal::JournalKey;
use crate::settings::PullBehavior;
use crate::task::SideOp;

use super::TaskEngine;

const LIST_TIMEOUT: Duration = Duration::from_secs(600);
const REMOVE_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct ImageCycle {
    /// Set by the first input.
    next_at: Option<Timestamp>,
    pressure: bool,
    listing: Option<SideOp>,
    /// Ids and references of the images still to be removed in this round.
    chosen: VecDeque<Chosen>,
    removing: Option<(SideOp, String)>,
}

#[derive(Debug)]
struct Chosen {
    id: String,
    references: Vec<String>,
}

impl ImageCycle {
    pub fn press(&mut self) {
        self.pressure = true;
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        let under_way = self.listing.or(self.removing.as_ref().map(|(op, _)| *op));
        under_way.map(|op| op.backstop).or(self.next_at)
    }

    fn is_idle(&self) -> bool {
        self.listing.is_none() && self.removing.is_none() && self.chosen.is_empty()
    }
}

impl TaskEngine {
    pub(super) fn step_images(&mut self) {
        let now = self.cx.now;
        if !self.cx.settings.image_cleanup || self.cx.settings.pull_behavior == PullBehavior::PreferCached {
            return;
        }
        let cycle = &mut self.image_cycle;
        if cycle.listing.is_some_and(|op| op.backstop <= now) {
            cycle.listing = None;
        }
        if cycle.removing.as_ref().is_some_and(|(op, _)| op.backstop <= now) {
            cycle.removing = None;
        }
        let next = *cycle.next_at.get_or_insert(now + self.cx.settings.image_cleanup_interval);
        if cycle.is_idle() && (next <= now || cycle.pressure) {
            let op = self.cx.side_op(LIST_TIMEOUT);
            cycle.listing = Some(op);
            self.cx.emit(Action::ListImages { op: op.id });
        }
        if next <= now {
            self.image_cycle.next_at = Some(now + self.cx.settings.image_cleanup_interval);
        }
        self.remove_next_image();
    }

    pub(super) fn images_listed(&mut self, id: OpId, result: Result<Vec<ListedImage>, OpError>) {
        if self.image_cycle.listing.take_if(|op| op.id == id).is_none() {
            return;
        }
        let pressure = std::mem::take(&mut self.image_cycle.pressure);
        let Ok(listed) = result else { return };
        let wanted = self.wanted_images();
        let cx = &self.cx;
        let ids = cx.images.to_remove(&listed, &wanted, &cx.settings, pressure, cx.now);
        self.image_cycle.chosen = ids
            .into_iter()
            .map(|id| {
                let references =
                    listed.iter().filter(|i| i.id == id).flat_map(|i| i.references.clone()).collect();
                Chosen { id, references }
            })
            .collect();
    }

    pub(super) fn image_removed(&mut self, id: OpId, result: Result<(), OpError>) {
        let Some((_, image)) = self.image_cycle.removing.take_if(|(op, _)| op.id == id) else { return };
        if result.is_ok() {
            for reference in self.cx.images.forget(&image) {
                self.cx.delete(JournalKey::Image(reference));
            }
        }
    }

    /// The references that unfinished tasks need.
    fn wanted_images(&self) -> BTreeSet<&str> {
        self.tasks
            .values()
            .filter(|task| !task.is_stopped())
            .flat_map(|task| task.spec.containers.iter().map(|c| c.image.as_str()))
            .collect()
    }

    fn remove_next_image(&mut self) {
        while self.image_cycle.listing.is_none() && self.image_cycle.removing.is_none() {
            let Some(chosen) = self.image_cycle.chosen.pop_front() else { return };
            // A task may have come to want it since the list was made.
            let wanted = self.wanted_images();
            if chosen.references.iter().any(|r| wanted.contains(r.as_str())) {
                continue;
            }
            let op = self.cx.side_op(REMOVE_TIMEOUT);
            self.cx.emit(Action::RemoveImage { op: op.id, image: chosen.id.clone() });
            self.image_cycle.removing = Some((op, chosen.id));
        }
    }
}
