//! Images as they are listed, described and deleted (registry I4).

use longshore_base::Scope;
use longshore_images::{Digest, Tag};
use longshore_shapes_ecr::{
    BatchDeleteImageResponse, DescribeImagesResponse, ImageDetail, ImageFailure, ImageFailureCode,
    ImageIdentifier, ImageNotFoundException, ImageStatus, ListImagesResponse, TagStatus, ops,
};
use longshore_state::Tx;
use longshore_tables_blobs::Holder;
use longshore_tables_ecr::delete::{self, Deleted};
use longshore_tables_ecr::record::Image;
use longshore_tables_ecr::tables::Contents;
use longshore_tables_ecr::{EcrState, RepositoryKey};
use longshore_wire::{Shape, token};

use crate::input::refused;
use crate::{find, permission, texts};

/// A page of images, unless asked otherwise (API reference, ListImages and DescribeImages).
const PAGE: usize = 100;
/// The most records that one BatchDeleteImage changes, so that it fits one commit.
const CHANGES_MAX: usize = 110;

/// One page of a list, whose places rise.
struct Page {
    fingerprint: u64,
    after: Option<String>,
    size: usize,
}

impl Page {
    /// `input` is the rest: size and token were taken out of it. `None` if the token is none of this list.
    fn open(
        operation: &str,
        scope: &Scope,
        input: &dyn Shape,
        size: Option<i32>,
        given: Option<String>,
    ) -> Option<Self> {
        let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE);
        let fingerprint = token::fingerprint(operation, scope, input);
        let after = match given {
            Some(given) => Some(token::decode(fingerprint, &given)?),
            None => None,
        };
        Some(Self { fingerprint, after, size })
    }

    fn fill<T>(
        &self,
        all: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let is_before = |item: &T| self.after.as_ref().is_some_and(|after| place(item) <= *after);
        let mut rest = all.into_iter().skip_while(is_before);
        let page: Vec<T> = rest.by_ref().take(self.size).collect();
        let last = page.last().filter(|_| rest.next().is_some());
        let next = last.map(|last| token::encode(self.fingerprint, &place(last)));
        (page, next)
    }
}

/// Whether images with tags, and those without, are asked for.
fn wanted(status: Option<&TagStatus>) -> (bool, bool) {
    match status {
        Some(TagStatus::Tagged) => (true, false),
        Some(TagStatus::Untagged) => (false, true),
        Some(TagStatus::Any | TagStatus::Unrecognized(_)) | None => (true, true),
    }
}

query!(
    ListImages,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "ListImages", &input.registry_id, &input.repository_name)
    },
    |state, caller, asked| {
        let mut input = asked.input;
        let (size, given) = (input.max_results.take(), input.next_token.take());
        let page = Page::open("ListImages", &caller.scope, &input, size, given)
            .ok_or_else(|| refused("nextToken", texts::TOKEN))?;
        let found =
            find::repository::<Self::Error>(state, caller, &input.registry_id, &input.repository_name);
        let (_, found) = found?;
        let (tagged, untagged) = wanted(input.filter.as_ref().and_then(|filter| filter.tag_status.as_ref()));
        // An entry for each tag, and one for an image without any.
        let entries = found.contents.images().flat_map(|(digest, _)| {
            let tags = found.contents.tags_of(digest).filter(move |_| tagged);
            let is_bare = untagged && found.contents.count_tags_of(digest) == 0;
            tags.map(move |tag| (digest, Some(tag))).chain(is_bare.then_some((digest, None)))
        });
        // A blank is in no tag, so that the places rise as the entries do.
        let place = |(digest, tag): &(&Digest, Option<&Tag>)| match tag {
            Some(tag) => format!("{digest} {tag}"),
            None => digest.to_string(),
        };
        let (page, next_token) = page.fill(entries, place);
        let ids = page.into_iter().map(|(digest, tag)| ImageIdentifier {
            image_digest: Some(digest.to_string()),
            image_tag: tag.map(Tag::to_string),
        });
        Ok(ListImagesResponse { image_ids: Some(ids.collect()), next_token })
    }
);

/// The image that is named, by its digest, its tag, or both.
fn resolve<'s>(contents: &'s Contents, id: &ImageIdentifier) -> Option<(Digest, &'s std::sync::Arc<Image>)> {
    let by_digest = id.image_digest.as_deref().map(|text| Digest::parse(text).ok());
    let by_tag = id.image_tag.as_deref().map(|text| Some(contents.tag(&Tag::parse(text)?)?.digest.clone()));
    let digest = match (by_digest, by_tag) {
        (Some(digest), None) | (None, Some(digest)) => digest?,
        (Some(digest), Some(of_tag)) => digest.filter(|digest| of_tag.as_ref() == Some(digest))?,
        (None, None) => return None,
    };
    let image = contents.image(&digest)?;
    Some((digest, image))
}

/// Of an index, the largest of its entries: what a machine pulls.
fn size(contents: &Contents, image: &Image) -> u64 {
    let children = image.children.iter().filter_map(|child| contents.image(child));
    children.map(|child| child.content_bytes).max().unwrap_or(0).max(image.content_bytes)
}

fn detail(key: &RepositoryKey, contents: &Contents, digest: &Digest, image: &Image) -> ImageDetail {
    let tags: Vec<String> = contents.tags_of(digest).map(Tag::to_string).collect();
    ImageDetail {
        artifact_media_type: image.artifact_type.as_ref().map(|own| own.to_string()),
        image_digest: Some(digest.to_string()),
        image_manifest_media_type: Some(image.media_type.to_string()),
        image_pushed_at: Some(image.pushed_at),
        image_size_in_bytes: i64::try_from(size(contents, image)).ok(),
        image_status: Some(ImageStatus::Active),
        // Absent, and not empty, for an image without tags.
        image_tags: (!tags.is_empty()).then_some(tags),
        last_recorded_pull_time: image.pulled_at,
        registry_id: Some(key.scope.account.to_string()),
        repository_name: Some(key.name.to_string()),
        subject_manifest_digest: image.subject.as_ref().map(Digest::to_string),
        ..ImageDetail::default()
    }
}

query!(
    DescribeImages,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "DescribeImages", &input.registry_id, &input.repository_name)
    },
    |state, caller, asked| {
        let mut input = asked.input;
        let (size, given) = (input.max_results.take(), input.next_token.take());
        let page = Page::open("DescribeImages", &caller.scope, &input, size, given)
            .ok_or_else(|| refused("nextToken", texts::TOKEN))?;
        let found =
            find::repository::<Self::Error>(state, caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        if let Some(ids) = &input.image_ids {
            let mut details = Vec::with_capacity(ids.len());
            for id in ids {
                let Some((digest, image)) = resolve(found.contents, id) else {
                    let (digest, tag) = (id.image_digest.as_deref(), id.image_tag.as_deref());
                    let text = texts::no_image(digest, tag, key.name.as_str(), key.scope.account);
                    return Err(ImageNotFoundException::new(text).into());
                };
                details.push(detail(&key, found.contents, &digest, image));
            }
            return Ok(DescribeImagesResponse { image_details: Some(details), next_token: None });
        }
        let (tagged, untagged) = wanted(input.filter.as_ref().and_then(|filter| filter.tag_status.as_ref()));
        let images = found
            .contents
            .images()
            .filter(|(digest, _)| if found.contents.count_tags_of(digest) > 0 { tagged } else { untagged });
        let (page, next_token) = page.fill(images, |(digest, _)| digest.to_string());
        let details = page.into_iter().map(|(digest, image)| detail(&key, found.contents, digest, image));
        Ok(DescribeImagesResponse { image_details: Some(details.collect()), next_token })
    }
);

/// Deletes what one identifier names; what is gone, or why not.
fn delete_one(
    tx: &mut Tx<'_>,
    holder: &Holder,
    id: &ImageIdentifier,
) -> Result<Vec<ImageIdentifier>, (ImageFailureCode, &'static str)> {
    let gone = |digest: &Digest, tag: Option<&Tag>| ImageIdentifier {
        image_digest: Some(digest.to_string()),
        image_tag: tag.map(Tag::to_string),
    };
    let not_found = (ImageFailureCode::ImageNotFound, "Requested image not found");
    let digest = match id.image_digest.as_deref() {
        Some(text) => {
            let invalid = (ImageFailureCode::InvalidImageDigest, "Invalid request parameters: image digest");
            Some(Digest::parse(text).map_err(|_| invalid)?)
        }
        None => None,
    };
    let tag = match id.image_tag.as_deref() {
        Some(text) => {
            let invalid = (ImageFailureCode::InvalidImageTag, "Invalid request parameters: image tag");
            Some(Tag::parse(text).ok_or(invalid)?)
        }
        None => None,
    };
    let contents = tx.ecr().contents(holder);
    let of_tag = tag.as_ref().map(|tag| contents.tag(tag).map(|on| on.digest.clone()));
    let digest = match (digest, of_tag) {
        (None, None) => {
            return Err((
                ImageFailureCode::MissingDigestAndTag,
                "Invalid request parameters: both tag and digest cannot be null",
            ));
        }
        (_, Some(None)) => return Err(not_found),
        (Some(digest), Some(Some(of_tag))) if digest != of_tag => {
            let text = "Requested image tag does not match the image digest";
            return Err((ImageFailureCode::ImageTagDoesNotMatchDigest, text));
        }
        // By tag alone: the tag, and the image with its last one.
        (None, Some(Some(of_tag))) if contents.count_tags_of(&of_tag) > 1 => {
            let tag = tag.expect("it was looked up");
            delete::untag(tx, holder, &tag);
            return Ok(vec![gone(&of_tag, Some(&tag))]);
        }
        (Some(digest), _) | (None, Some(Some(digest))) => digest,
    };
    if contents.image(&digest).is_none() {
        return Err(not_found);
    }
    if contents.parents(&digest).next().is_some() {
        let text = "Requested image referenced by manifest list";
        return Err((ImageFailureCode::ImageReferencedByManifestList, text));
    }
    match delete::delete(tx, holder, &digest) {
        Deleted::All(tags) if tags.is_empty() => Ok(vec![gone(&digest, None)]),
        Deleted::All(tags) | Deleted::Some(tags) => {
            Ok(tags.iter().map(|tag| gone(&digest, Some(tag))).collect())
        }
        Deleted::Nothing => Err(not_found),
    }
}

command!(
    BatchDeleteImage,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "BatchDeleteImage", &input.registry_id, &input.repository_name)
    },
    |tx, caller, asked| {
        let input = asked.input;
        let found =
            find::repository::<Self::Error>(tx.state(), caller, &input.registry_id, &input.repository_name);
        let holder = found?.1.holder;
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        let mut ids = input.image_ids.unwrap_or_default();
        // Indexes first, so that their entries can go in the same call.
        let is_index = |id: &ImageIdentifier| {
            let contents = tx.ecr().contents(&holder);
            resolve(contents, id).is_some_and(|(_, image)| !image.children.is_empty())
        };
        ids.sort_by_cached_key(|id| !is_index(id));
        // All of them or none: an image does not lose some of its tags.
        let changes: usize = ids.iter().map(|id| changes(tx.ecr().contents(&holder), id)).sum();
        if changes > CHANGES_MAX {
            let text = format!("name fewer images, or delete some of their {changes} tags first, by tag");
            return Err(refused("imageIds", &text).into());
        }
        for id in ids {
            match delete_one(tx, &holder, &id) {
                Ok(gone) => deleted.extend(gone),
                Err((code, reason)) => failures.push(failure(code, reason, id)),
            }
        }
        Ok(BatchDeleteImageResponse { image_ids: Some(deleted), failures: Some(failures) })
    }
);

/// How many records go with what an identifier names.
fn changes(contents: &Contents, id: &ImageIdentifier) -> usize {
    match resolve(contents, id) {
        Some((digest, _)) if id.image_digest.is_some() => contents.count_tags_of(&digest) + 1,
        Some(_) => 2,
        None => 0,
    }
}

fn failure(code: ImageFailureCode, reason: &str, id: ImageIdentifier) -> ImageFailure {
    ImageFailure { failure_code: Some(code), failure_reason: Some(reason.to_owned()), image_id: Some(id) }
}
