//! Equal questions about images, asked once.
//!
//! Fifty copies of a container that start together are fifty times the same question to the same registry, and the
//! registry is farther away than everything else in a start. Who asks while an equal question is under way gets its
//! answer, and what a registry has answered stands for [`FRESH`]. What is equal includes the login, so that nobody gets
//! an answer that the registry would have refused to him. Failures are shared, never remembered.
//!
//! Whether a container has to ask at all is the engine's decision (agent-protocol G10, Pull), and stays so.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use longshore_engine::input::LocalImage;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::RuntimeError;
use crate::port::{PullRequest, RegistryCredentials, Runtime};

/// How long the answer of a registry stands for those who ask the same.
///
/// It has to outlast the gap between two starts of a burst, a tenth of a second or so. And it has to be over when somebody
/// who has pushed a new image under the same tag has got as far as starting it: then the new image must run.
pub const FRESH: Duration = Duration::from_secs(1);

type Answer<T> = Shared<BoxFuture<'static, Result<T, RuntimeError>>>;

/// One kind of question.
struct Questions<Q, T> {
    asked: Arc<Mutex<Vec<Asked<Q, T>>>>,
    /// Who asks joins an equal question that was put less than this ago. A later one may have been stuck for long.
    join: Duration,
}

struct Asked<Q, T> {
    question: Q,
    at: Instant,
    state: State<T>,
}

enum State<T> {
    /// Held by those who wait for it: when all have given up, it is abandoned.
    UnderWay(WeakShared<BoxFuture<'static, Result<T, RuntimeError>>>),
    Given(T),
}

impl<Q, T> Asked<Q, T> {
    fn is_of_use(&self, now: Instant, join: Duration) -> bool {
        let age = now.saturating_duration_since(self.at);
        match &self.state {
            State::UnderWay(answer) => age < join && answer.upgrade().is_some(),
            State::Given(_) => age < FRESH,
        }
    }
}

impl<Q, T> Questions<Q, T>
where
    Q: PartialEq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    fn new(join: Duration) -> Self {
        Self { asked: Arc::default(), join }
    }

    /// The fresh answer to `question`, if there is one.
    fn given(&self, question: &Q) -> Option<T> {
        let now = Instant::now();
        let asked = self.asked.lock();
        asked.iter().filter(|asked| asked.question == *question && asked.is_of_use(now, self.join)).find_map(
            |asked| match &asked.state {
                State::UnderWay(_) => None,
                State::Given(answer) => Some(answer.clone()),
            },
        )
    }

    /// Lets `answer` stand for [`FRESH`] from now on.
    fn note(&self, question: Q, answer: T) {
        note(&self.asked, question, answer);
    }

    /// The answer to `question`: that of an equal one under way, or that of `put`.
    fn ask<F>(&self, question: Q, remember: bool, put: impl FnOnce() -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, RuntimeError>> + Send + 'static,
    {
        let now = Instant::now();
        let mut asked = self.asked.lock();
        // Bounded by the containers that start within that time: what is older goes with the next question.
        asked.retain(|asked| asked.is_of_use(now, self.join));
        let under_way =
            asked.iter().filter(|asked| asked.question == question).find_map(|asked| match &asked.state {
                State::UnderWay(answer) => answer.upgrade(),
                State::Given(_) => None,
            });
        if let Some(answer) = under_way {
            return answer;
        }
        let put = put();
        let (all, own) = (self.asked.clone(), question.clone());
        let answer = async move {
            let result = put.await;
            if remember && let Ok(answer) = &result {
                note(&all, own, answer.clone());
            }
            result
        };
        let answer = answer.boxed().shared();
        let state = answer.downgrade().map(State::UnderWay);
        asked.extend(state.map(|state| Asked { question, at: now, state }));
        answer
    }
}

fn note<Q: PartialEq, T>(asked: &Mutex<Vec<Asked<Q, T>>>, question: Q, answer: T) {
    let mut asked = asked.lock();
    asked.retain(|asked| asked.question != question);
    asked.push(Asked { question, at: Instant::now(), state: State::Given(answer) });
}

/// An image as somebody may have it.
#[derive(Clone, PartialEq)]
struct ImageFor {
    image: String,
    login: Option<RegistryCredentials>,
}

/// What an executor asks about images.
pub(crate) struct ImageQuestions {
    runtime: Arc<dyn Runtime>,
    looks: Questions<String, LocalImage>,
    digests: Questions<ImageFor, String>,
    pulls: Questions<(ImageFor, String, Duration), LocalImage>,
}

impl ImageQuestions {
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            runtime,
            looks: Questions::new(FRESH),
            digests: Questions::new(FRESH),
            // Which image it brings is certain, however long it has been under way.
            pulls: Questions::new(Duration::MAX),
        }
    }

    /// The local image of that name.
    pub async fn look(&self, image: &str) -> Result<LocalImage, RuntimeError> {
        let (runtime, name) = (self.runtime.clone(), image.to_owned());
        let answer =
            self.looks.ask(image.to_owned(), false, || async move { runtime.image_inspect(&name).await });
        answer.await
    }

    /// What the registry has under that name.
    pub async fn digest(
        &self,
        image: &str,
        login: Option<RegistryCredentials>,
    ) -> Result<String, RuntimeError> {
        let question = ImageFor { image: image.to_owned(), login };
        if let Some(digest) = self.digests.given(&question) {
            return Ok(digest);
        }
        let (runtime, asked) = (self.runtime.clone(), question.clone());
        let answer = self.digests.ask(question, true, || async move {
            runtime.image_digest(&asked.image, asked.login.as_ref()).await
        });
        answer.await
    }

    /// The image, from the registry; or from here, if the registry has confirmed just now that what is here is it.
    pub async fn pull(
        &self,
        image: &str,
        digest: Option<&str>,
        login: Option<RegistryCredentials>,
        inactivity: Duration,
    ) -> Result<LocalImage, RuntimeError> {
        let Some(digest) = digest else {
            // What the name stands for is found out by pulling it: nothing to compare with.
            let credentials = login.as_ref();
            let request = PullRequest { image, digest: None, credentials, inactivity, progress: &|_| {} };
            return self.runtime.image_pull(request).await;
        };
        let asked = ImageFor { image: image.to_owned(), login };
        if self.digests.given(&asked).as_deref() == Some(digest)
            && let Ok(local) = self.look(image).await
            && local.digest.as_deref() == Some(digest)
        {
            return Ok(local);
        }
        let question = (asked.clone(), digest.to_owned(), inactivity);
        let (runtime, (own, wanted, _)) = (self.runtime.clone(), question.clone());
        let answer = self.pulls.ask(question, false, || async move {
            let request = PullRequest {
                image: &own.image,
                digest: Some(&wanted),
                credentials: own.login.as_ref(),
                inactivity,
                progress: &|_| {},
            };
            runtime.image_pull(request).await
        });
        let local = answer.await?;
        // Of a name that says itself which manifest it means the pull is the only question.
        if image.contains('@') {
            self.digests.note(asked, digest.to_owned());
        }
        Ok(local)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::ErrorKind;

    /// Answers each question after a while with how many came before it.
    struct Registry {
        questions: Questions<&'static str, u32>,
        asked: Arc<AtomicU32>,
    }

    impl Registry {
        fn new() -> Self {
            Self { questions: Questions::new(FRESH), asked: Arc::default() }
        }

        async fn ask(&self, question: &'static str) -> Result<u32, RuntimeError> {
            if let Some(answer) = self.questions.given(&question) {
                return Ok(answer);
            }
            let asked = self.asked.clone();
            let answer = self.questions.ask(question, true, || async move {
                let before = asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(FRESH / 2).await;
                if question == "fails" {
                    return Err(RuntimeError::new(ErrorKind::Denied, "no"));
                }
                Ok(before)
            });
            answer.await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_stands_for_a_while() {
        let registry = Registry::new();
        let (a, b) = tokio::join!(registry.ask("a"), registry.ask("a"));
        assert_eq!((a, b), (Ok(0), Ok(0)));
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        assert_eq!(registry.ask("a").await, Ok(0));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(registry.ask("a").await, Ok(1));
        assert_eq!(registry.ask("b").await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_and_not_remembered() {
        let registry = Registry::new();
        let (a, b) = tokio::join!(registry.ask("fails"), registry.ask("fails"));
        assert!(a.is_err() && a == b);
        assert!(registry.ask("fails").await.is_err());
        assert_eq!(registry.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_takes_nobody_along() {
        let registry = Registry::new();
        let impatient = tokio::time::timeout(FRESH / 4, registry.ask("a"));
        let (gave_up, patient) = tokio::join!(impatient, registry.ask("a"));
        assert!(gave_up.is_err());
        assert_eq!(patient, Ok(0));
        // One that nobody waits for any more is no answer to anybody.
        tokio::time::advance(FRESH).await;
        assert!(tokio::time::timeout(FRESH / 4, registry.ask("a")).await.is_err());
        assert_eq!(registry.ask("a").await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_is_stuck_is_not_joined() {
        let questions = Questions::<&str, u32>::new(FRESH);
        let stuck = questions.ask("a", true, std::future::pending);
        tokio::time::advance(FRESH).await;
        let second = questions.ask("a", true, || std::future::ready(Ok(2)));
        assert_eq!(second.await, Ok(2));
        assert_eq!(questions.given(&"a"), Some(2));
        drop(stuck);
    }
}
