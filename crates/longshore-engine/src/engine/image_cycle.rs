//! The regular round of image clean-up: list, choose, remove one after another.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use longshore_base::Timestamp;

use crate::action::Action;
use crate::input::{ListedImage, OpError, OpErrorKind};
use crate::journal::JournalKey;
use crate::note::Note;
use crate::settings::PullBehavior;
use crate::spec::OpId;
use crate::task::SideOp;

use super::TaskEngine;

const LIST_TIMEOUT: Duration = Duration::from_secs(600);
const REMOVE_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct ImageCycle {
    /// Set by the first input.
    next_at: Option<Timestamp>,
    /// The disk is short of so many bytes.
    pressure: Option<u64>,
    listing: Option<SideOp>,
    /// The images still to be removed in this round.
    chosen: VecDeque<Chosen>,
    removing: Option<(SideOp, Chosen)>,
}

#[derive(Debug)]
struct Chosen {
    id: String,
    references: Vec<String>,
    /// What is left to be removed, one name after the other: without force the runtime does not remove an image by
    /// its id while several repositories name it.
    names: VecDeque<String>,
}

impl Chosen {
    fn new(id: String, references: Vec<String>) -> Self {
        let tags: VecDeque<String> = references.iter().filter(|name| !name.contains('@')).cloned().collect();
        let names = if tags.len() > 1 { tags } else { VecDeque::from([id.clone()]) };
        Self { id, references, names }
    }
}

impl ImageCycle {
    /// Lists and removes at once, whatever the age, until images of so many bytes are gone.
    pub fn press(&mut self, bytes: u64) {
        self.pressure = Some(bytes);
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
        if cycle.is_idle() && (next <= now || cycle.pressure.is_some()) {
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
        let pressure = self.image_cycle.pressure.take();
        let Ok(listed) = result else { return };
        let wanted = self.wanted_images();
        let cx = &self.cx;
        let ids = cx.images.to_remove(&listed, &wanted, &cx.settings, pressure, cx.now);
        let is_short = pressure.is_some() && ids.is_empty();
        self.image_cycle.chosen = ids
            .into_iter()
            .map(|id| {
                let named = listed.iter().filter(|image| image.id == id);
                let references = named.flat_map(|image| image.references.clone()).collect();
                Chosen::new(id, references)
            })
            .collect();
        if is_short {
            self.nothing_to_clean();
        }
    }

    pub(super) fn image_removed(&mut self, id: OpId, result: Result<(), OpError>) {
        let Some((_, mut image)) = self.image_cycle.removing.take_if(|(op, _)| op.id == id) else { return };
        image.names.pop_front();
        match result {
            Err(error) if error.kind != OpErrorKind::NotFound => {
                self.cx.images.keep(&image.id);
                let name = image.references.first().unwrap_or(&image.id).clone();
                self.cx.note(Note::ImageKept { image: name, error: error.text });
            }
            Ok(()) | Err(_) if !image.names.is_empty() => self.image_cycle.chosen.push_front(image),
            Ok(()) | Err(_) => {
                for reference in self.cx.images.forget(&image.id) {
                    self.cx.delete(JournalKey::Image(reference));
                }
                let name = image.references.first().unwrap_or(&image.id).clone();
                self.cx.note(Note::ImageRemoved { image: name });
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
            let Some(name) = chosen.names.front().cloned() else { continue };
            self.cx.emit(Action::RemoveImage { op: op.id, image: name });
            self.image_cycle.removing = Some((op, chosen));
        }
    }
}
