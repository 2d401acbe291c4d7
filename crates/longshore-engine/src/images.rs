//! Which images this node knows, and which to remove (agent-protocol G10, Clean-up).

use std::collections::{BTreeMap, BTreeSet};

use longshore_base::Timestamp;

use crate::input::ListedImage;
use crate::journal::ImageRecord;
use crate::network::PAUSE_IMAGE;
use crate::settings::Settings;

/// The images that tasks have used here, by reference.
#[derive(Clone, Debug, Default)]
pub(crate) struct Images {
    known: BTreeMap<String, ImageRecord>,
}

impl Images {
    pub fn restore(&mut self, record: ImageRecord) {
        self.known.insert(record.reference.clone(), record);
    }

    pub fn was_pulled(&self, reference: &str) -> bool {
        self.known.get(reference).is_some_and(|record| record.pulled)
    }

    /// A task uses the image, as of `now`. Returns the record to store if it is worth storing.
    pub fn used(&mut self, reference: &str, id: &str, pulled: bool, now: Timestamp) -> ImageRecord {
        let record = self.known.entry(reference.to_owned()).or_insert_with(|| ImageRecord {
            reference: reference.to_owned(),
            id: id.to_owned(),
            pulled: false,
            first_seen_at: now,
            last_used_at: now,
        });
        if !id.is_empty() && record.id != id {
            record.id = id.to_owned();
        }
        record.pulled |= pulled;
        record.last_used_at = now;
        record.clone()
    }

    /// A task stopped using the image; the record to store, if the image is known.
    pub fn unused(&mut self, reference: &str, now: Timestamp) -> Option<ImageRecord> {
        let record = self.known.get_mut(reference)?;
        record.last_used_at = now;
        Some(record.clone())
    }

    /// The references that are forgotten with a removed image.
    pub fn forget(&mut self, id: &str) -> Vec<String> {
        let gone: Vec<String> =
            self.known.values().filter(|r| r.id == id).map(|r| r.reference.clone()).collect();
        for reference in &gone {
            self.known.remove(reference);
        }
        gone
    }

    /// The ids to remove now, least recently used first, at most `images_per_cycle`.
    ///
    /// An image is spared while any container or any task (`wanted`: references) uses it, and while it
    /// is young or was used lately; under disk pressure age no longer protects it.
    pub fn to_remove(
        &self,
        listed: &[ListedImage],
        wanted: &BTreeSet<&str>,
        settings: &Settings,
        pressure: bool,
        now: Timestamp,
    ) -> Vec<String> {
        let mut candidates: Vec<(Timestamp, &str)> = listed
            .iter()
            .filter(|image| !image.in_use)
            .filter_map(|image| {
                let records: Vec<&ImageRecord> =
                    self.known.values().filter(|record| record.id == image.id).collect();
                let referenced = |reference: &str| wanted.contains(reference);
                if records.iter().any(|r| referenced(&r.reference))
                    || image.references.iter().any(|r| referenced(r))
                {
                    return None;
                }
                let tracked = records.iter().map(|r| (r.last_used_at, r.first_seen_at)).max();
                let (last_used, first_seen, age_min) = match tracked {
                    Some((used, seen)) => (used, seen, settings.image_minimum_age),
                    None => {
                        let excluded = &settings.untracked_image_exclusions;
                        if !settings.untracked_image_cleanup
                            || image.references.iter().any(|r| excluded.contains(r) || r == PAUSE_IMAGE)
                        {
                            return None;
                        }
                        let created = image.created_at.unwrap_or(Timestamp::MIN);
                        (created, created, settings.untracked_image_minimum_age)
                    }
                };
                let old = last_used + age_min <= now && first_seen + age_min <= now;
                (old || pressure).then_some((last_used, image.id.as_str()))
            })
            .collect();
        candidates.sort_unstable();
        candidates.truncate(settings.images_per_cycle);
        candidates.into_iter().map(|(_, id)| id.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    fn listed(id: &str, in_use: bool) -> ListedImage {
        ListedImage {
            id: id.to_owned(),
            references: vec![format!("{id}:latest")],
            size_bytes: 1,
            created_at: Some(at(0)),
            in_use,
        }
    }

    /// Images a, b, c, d used at minutes 30, 10, 20, 100; the time is minute 120.
    fn check(settings: &Settings, wanted: &[&str], pressure: bool, expected: &[&str]) {
        let mut images = Images::default();
        for (id, minute) in [("a", 30), ("b", 10), ("c", 20), ("d", 100)] {
            images.used(&format!("{id}:latest"), id, true, at(minute));
        }
        let list = [listed("a", false), listed("b", false), listed("c", true), listed("d", false)];
        let wanted = wanted.iter().copied().collect();
        assert_eq!(images.to_remove(&list, &wanted, settings, pressure, at(120)), expected);
    }

    #[test]
    fn the_least_recently_used_goes_first_and_used_ones_stay() {
        let settings = Settings::default();
        check(&settings, &[], false, &["b", "a"]);
        check(&settings, &["b:latest"], false, &["a"]);
        check(&settings, &[], true, &["b", "a", "d"]);
        check(&Settings { images_per_cycle: 1, ..settings.clone() }, &[], false, &["b"]);
        let strict = Settings { image_minimum_age: Duration::from_secs(7200), ..settings };
        check(&strict, &[], false, &[]);
    }

    #[test]
    fn foreign_images_are_left_alone_unless_asked_for() {
        let images = Images::default();
        let list = [listed("x", false), listed("y", false)];
        let mut settings = Settings::default();
        let none = BTreeSet::new();
        assert!(images.to_remove(&list, &none, &settings, true, at(600)).is_empty());
        settings.untracked_image_cleanup = true;
        settings.untracked_image_exclusions = vec!["y:latest".to_owned()];
        assert_eq!(images.to_remove(&list, &none, &settings, false, at(600)), ["x"]);
    }
}
