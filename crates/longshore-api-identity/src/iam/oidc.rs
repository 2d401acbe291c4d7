//! OpenID Connect providers.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_domain::tags::Tags;
use longshore_service::{Caller, Command, Cx, Resources};
use longshore_shapes_iam::{
    CreateOpenIDConnectProviderRequest, EntityAlreadyExistsException, GetOpenIDConnectProviderResponse,
    InvalidInputException, LimitExceededException, ListOpenIDConnectProvidersResponse, NoSuchEntityException,
    OpenIDConnectProviderListEntry, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::key::Id;
use longshore_tables_iam::record::OidcProvider;
use longshore_tables_iam::{OwnKey, arn};

use super::input::given;
use super::{find, input, permission, tags, texts};
use crate::Iam;

const CLIENTS_MAX: usize = 100;
const THUMBPRINTS_MAX: usize = 5;
const THUMBPRINT_CHARS: usize = 40;

pub(super) fn provider_arn(caller: &Caller, id: &str) -> String {
    arn::of(caller.scope.partition(), caller.scope.account, "oidc-provider", "/", id)
}

/// The provider that an ARN names, with its id.
pub(super) fn provider(
    state: &State,
    caller: &Caller,
    named: &str,
) -> Result<(Id, OidcProvider), NoSuchEntityException> {
    let id = named.split_once(":oidc-provider/").map(|(_, id)| id);
    let id = id.filter(|id| provider_arn(caller, id) == named);
    let found = id.and_then(|id| Some((id.into(), find::realm(state, caller).provider(id)?)));
    let (id, provider) = found.ok_or_else(|| NoSuchEntityException::new(texts::provider_not_found(named)))?;
    Ok((id, OidcProvider::clone(provider)))
}

/// A provider as it is to be, checked.
pub struct New {
    id: Id,
    clients: BTreeSet<Arc<str>>,
    thumbprints: Vec<Arc<str>>,
    tags: Tags,
    input: CreateOpenIDConnectProviderRequest,
}

/// What stands behind `https://`: a host, and perhaps a path.
fn id_of_url(url: &str) -> Result<Id, InvalidInputException> {
    let refuse =
        |why: &str| Err(InvalidInputException::new(format!("Invalid Open ID Connect Provider URL: {why}")));
    let Some(rest) = url.strip_prefix("https://") else { return refuse("it has to begin with https://") };
    let rest = rest.trim_end_matches('/');
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || host.contains(['@', ':']) || rest.contains(['?', '#', ' ']) {
        return refuse("it is a host name and a path, without port, user, query or fragment");
    }
    Ok(rest.into())
}

fn thumbprints(given: Option<Vec<String>>) -> Result<Vec<Arc<str>>, InvalidInputException> {
    let given = given.unwrap_or_default();
    if given.len() > THUMBPRINTS_MAX {
        return Err(InvalidInputException::new("Thumbprint list must contain fewer than 5 entries."));
    }
    let is_right =
        |text: &String| text.len() == THUMBPRINT_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match given.iter().find(|text| !is_right(text)) {
        Some(bad) => {
            Err(InvalidInputException::new(format!("Thumbprint {bad} is not 40 hexadecimal digits.")))
        }
        None => Ok(given.into_iter().map(Into::into).collect()),
    }
}

impl Command<Iam> for ops::CreateOpenIDConnectProvider {
    type Parsed = New;
    type Answer = Self::Output;

    fn parse(_: &Cx<'_, Iam>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let clients: BTreeSet<Arc<str>> =
            input.client_id_list.iter().flatten().map(|id| id.as_str().into()).collect();
        too_many(&clients)?;
        Ok(New {
            id: id_of_url(given(&input.url))?,
            clients,
            thumbprints: thumbprints(input.thumbprint_list.take())?,
            tags: tags::parse(input.tags.clone())?,
            input,
        })
    }

    fn resources(state: &State, caller: &Caller, new: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.tagging(ask.on(provider_arn(caller, &new.id)), "TagOpenIDConnectProvider", &new.input.tags)
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, new: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let New { id, clients, thumbprints, tags, .. } = new;
        if find::realm(tx.state(), caller).provider(&id).is_some() {
            let text = format!("Provider with url https://{id} already exists.");
            return Err(EntityAlreadyExistsException::new(text).into());
        }
        let answer = Self::Output {
            open_id_connect_provider_arn: Some(provider_arn(caller, &id)),
            tags: tags::shown(&tags),
        };
        let provider = OidcProvider { created_at: tx.now, clients, thumbprints, tags };
        tx.put::<OidcProvider>(OwnKey::new(caller.scope.account, &id), provider);
        Ok(answer)
    }
}

fn too_many(clients: &BTreeSet<Arc<str>>) -> Result<(), LimitExceededException> {
    match clients.len() {
        0..=CLIENTS_MAX => Ok(()),
        _more => {
            let text = texts::quota("ClientIdsPerOpenIdConnectProvider", CLIENTS_MAX);
            Err(LimitExceededException::new(text))
        }
    }
}

query!(
    GetOpenIDConnectProvider,
    |ask, input| ask.provider(given(&input.open_id_connect_provider_arn)),
    |state, caller, input| {
        let (id, provider) = provider(state, caller, given(&input.open_id_connect_provider_arn))?;
        Ok(GetOpenIDConnectProviderResponse {
            client_id_list: Some(provider.clients.iter().map(ToString::to_string).collect()),
            create_date: Some(provider.created_at),
            tags: tags::shown(&provider.tags),
            thumbprint_list: Some(provider.thumbprints.iter().map(ToString::to_string).collect()),
            url: Some(id.to_string()),
        })
    }
);

query!(
    ListOpenIDConnectProviders,
    |ask, _input| ask.on(provider_arn(ask.caller, "*")),
    |state, caller, _input| {
        let ids = find::realm(state, caller).providers().keys();
        let entry = |id| OpenIDConnectProviderListEntry { arn: Some(provider_arn(caller, id)) };
        Ok(ListOpenIDConnectProvidersResponse {
            open_id_connect_provider_list: Some(ids.map(|id| entry(id)).collect()),
        })
    }
);

command!(
    AddClientIDToOpenIDConnectProvider,
    |ask, input| ask.provider(given(&input.open_id_connect_provider_arn)),
    |tx, caller, input| {
        let named = given(&input.open_id_connect_provider_arn);
        let (id, mut provider) = provider(tx.state(), caller, named)?;
        provider.clients.insert(given(&input.client_id).into());
        too_many(&provider.clients)?;
        tx.put::<OidcProvider>(OwnKey::new(caller.scope.account, &id), provider);
        Ok(Self::Output {})
    }
);

command!(
    RemoveClientIDFromOpenIDConnectProvider,
    |ask, input| ask.provider(given(&input.open_id_connect_provider_arn)),
    |tx, caller, input| {
        // One that is not there is no error (API reference).
        let named = given(&input.open_id_connect_provider_arn);
        let (id, mut provider) = provider(tx.state(), caller, named)?;
        provider.clients.remove(given(&input.client_id));
        tx.put::<OidcProvider>(OwnKey::new(caller.scope.account, &id), provider);
        Ok(Self::Output {})
    }
);

command!(
    UpdateOpenIDConnectProviderThumbprint,
    |ask, input| ask.provider(given(&input.open_id_connect_provider_arn)),
    |tx, caller, input| {
        let thumbprints = thumbprints(input.thumbprint_list)?;
        let named = given(&input.open_id_connect_provider_arn);
        let (id, mut provider) = provider(tx.state(), caller, named)?;
        provider.thumbprints = thumbprints;
        tx.put::<OidcProvider>(OwnKey::new(caller.scope.account, &id), provider);
        Ok(Self::Output {})
    }
);

command!(
    DeleteOpenIDConnectProvider,
    |ask, input| ask.provider(given(&input.open_id_connect_provider_arn)),
    |tx, caller, input| {
        let (id, _) = provider(tx.state(), caller, given(&input.open_id_connect_provider_arn))?;
        tx.delete::<OidcProvider>(OwnKey::new(caller.scope.account, &id));
        Ok(Self::Output {})
    }
);
