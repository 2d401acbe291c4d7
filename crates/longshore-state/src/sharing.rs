//! Values that many records have in common, each kept once.

use std::any::{Any, TypeId};
use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

/// From so many values on it is worth looking which of them nobody has any more.
const SWEEP_LEN_MIN: usize = 1024;

/// What records have in common with others. Only saves memory: nothing depends on who shares what.
#[derive(Debug, Default)]
pub struct Sharing {
    texts: Kept<str>,
    /// One set a type, of which domains have few.
    others: Vec<(TypeId, Box<dyn AnyKept>)>,
}

trait AnyKept: Any + Debug + Send + Sync {}

impl<T: ?Sized + Debug + Send + Sync + 'static> AnyKept for Kept<T> {}

impl Sharing {
    /// A text that many records have in common.
    pub fn text(&mut self, text: &str) -> Arc<str> {
        self.texts.text(text)
    }

    /// Puts the text that others have in the place of an equal one.
    pub fn share_text(&mut self, text: &mut Arc<str>) {
        *text = self.texts.share(text.clone());
    }

    /// The value that is equal to this one and that others have; else this one, for those to come.
    pub fn share<T: Eq + Hash + Debug + Send + Sync + 'static>(&mut self, value: &Arc<T>) -> Arc<T> {
        let id = TypeId::of::<T>();
        let at = self.others.iter().position(|(own, _)| *own == id).unwrap_or_else(|| {
            self.others.push((id, Box::new(Kept::<T>::default())));
            self.others.len() - 1
        });
        let kept: &mut dyn Any = &mut *self.others[at].1;
        kept.downcast_mut::<Kept<T>>()
            .expect("a set is kept under the type of its values")
            .share(value.clone())
    }
}

/// A set of shared values. One that is held by nobody else is forgotten some time.
#[derive(Debug)]
struct Kept<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// How many there may be before the next sweep: twice what the last one left, so that sweeping costs each new
    /// value the same.
    sweep_len: usize,
}

impl<T: ?Sized> Default for Kept<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_len: SWEEP_LEN_MIN }
    }
}

impl<T: ?Sized + Eq + Hash> Kept<T> {
    /// The value that is equal to this one and known already; else this one, known from now on.
    fn share(&mut self, value: Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(&*value) {
            return known.clone();
        }
        self.learn(value.clone());
        value
    }

    fn learn(&mut self, value: Arc<T>) {
        if self.known.len() >= self.sweep_len {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.sweep_len = SWEEP_LEN_MIN.max(2 * self.known.len());
        }
        self.known.insert(value);
    }
}

impl Kept<str> {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.learn(text.clone());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_become_one() {
        let mut texts = Kept::<str>::default();
        let first = texts.text("eu-west-1a");
        assert!(Arc::ptr_eq(&first, &texts.text("eu-west-1a")));
        assert!(Arc::ptr_eq(&first, &texts.share("eu-west-1a".into())));
        assert!(!Arc::ptr_eq(&first, &texts.text("eu-west-1b")));
    }

    #[test]
    fn values_of_any_type_are_shared_with_their_like() {
        let mut sharing = Sharing::default();
        let (number, other) = (sharing.share(&Arc::new(7_u8)), sharing.share(&Arc::new(7_u16)));
        assert!(Arc::ptr_eq(&number, &sharing.share(&Arc::new(7_u8))));
        assert!(Arc::ptr_eq(&other, &sharing.share(&Arc::new(7_u16))));
        let mut text: Arc<str> = "a".into();
        let first = sharing.text("a");
        sharing.share_text(&mut text);
        assert!(Arc::ptr_eq(&first, &text));
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut texts = Kept::<str>::default();
        let held: Vec<Arc<str>> = (0..10).map(|n| texts.text(&format!("held {n}"))).collect();
        for n in 0..100_000 {
            texts.text(&n.to_string());
            assert!(texts.known.len() <= SWEEP_LEN_MIN, "{}", texts.known.len());
        }
        for text in held {
            assert!(Arc::ptr_eq(&text, &texts.text(&String::from(&*text))));
        }
    }
}
