//! Internet gateways. They let nothing in or out: tasks reach what their machines reach.

use longshore_domain::tags::Tags;
use longshore_service::{Caller, Resources};
use longshore_shapes_ec2::{
    self as shapes, AttachInternetGatewayOutput, AttachmentStatus, CreateInternetGatewayResult,
    DeleteInternetGatewayOutput, DetachInternetGatewayOutput, InternetGatewayAttachment, ResourceType, Tag,
};
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::InternetGateway;
use longshore_tables_ec2::{Ec2State, OwnKey};

use crate::filters::{Filterable, Texts, each, one};
use crate::input::given;
use crate::permission::kind;
use crate::{errors, find, tags};

/// AWS's quota is that of VPCs.
const GATEWAYS_MAX: usize = 100;

/// What the attachment of a gateway is called, in a word that the model's enumeration does not have.
const AVAILABLE: &str = "available";

fn shape(caller: &Caller, id: &Id, gateway: &InternetGateway) -> shapes::InternetGateway {
    let attachment = |vpc: &Id| InternetGatewayAttachment {
        state: Some(AttachmentStatus::from(AVAILABLE)),
        vpc_id: Some(vpc.to_string()),
    };
    shapes::InternetGateway {
        attachments: Some(gateway.vpc.iter().map(attachment).collect()),
        internet_gateway_id: Some(id.to_string()),
        owner_id: Some(caller.scope.account.to_string()),
        tags: Some(tags::shapes(&gateway.tags)),
    }
}

impl Filterable for shapes::InternetGateway {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("attachment.state", |own| {
            each(&own.attachments, |own| own.state.as_ref().map(AttachmentStatus::as_str))
        }),
        ("attachment.vpc-id", |own| each(&own.attachments, |own| own.vpc_id.as_ref())),
        ("internet-gateway-id", |own| one(own.internet_gateway_id.as_ref())),
        ("owner-id", |own| one(own.owner_id.as_ref())),
    ];

    fn place(&self) -> String {
        self.internet_gateway_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe!(DescribeInternetGateways as DescribeInternetGatewaysResult { internet_gateways } of shapes::InternetGateway,
    not with [internet_gateway_ids],
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let all = realm.gateways().iter().map(|(id, gateway)| shape(caller, id, gateway)).collect();
        fn id(own: &shapes::InternetGateway) -> Option<&str> {
            own.internet_gateway_id.as_deref()
        }
        find::selected(all, &input.internet_gateway_ids, id, errors::no_gateway)
    }
);

command!(
    CreateInternetGateway,
    |ask, input| ask.new_one(kind::GATEWAY, &input.tag_specifications),
    |tx, caller, input| {
        let own_tags = tags::specified(&input.tag_specifications, &ResourceType::InternetGateway)?;
        if tx.ec2().realm(&caller.scope).gateways().len() >= GATEWAYS_MAX {
            return Err(errors::quota("InternetGatewayLimitExceeded", "internet gateways"));
        }
        let id = ids::drawn(prefix::GATEWAY, tx.ids.seed());
        let gateway = InternetGateway { vpc: None, tags: own_tags };
        let shown = shape(caller, &id, &gateway);
        tx.put::<InternetGateway>(OwnKey::new(&caller.scope, &id), gateway);
        Ok(CreateInternetGatewayResult { internet_gateway: Some(shown) })
    }
);

command!(
    AttachInternetGateway,
    |ask, input| Resources::from(ask.on(kind::GATEWAY, given(&input.internet_gateway_id)))
        .and([ask.on(kind::VPC, given(&input.vpc_id))]),
    |tx, caller, input| {
        let (id, gateway) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, gateway) = find::gateway(&realm, given(&input.internet_gateway_id))?;
            let (vpc, _) = find::vpc(&realm, given(&input.vpc_id))?;
            if let Some(other) = &gateway.vpc {
                return Err(errors::already_attached(id, other));
            }
            if realm.gateway_of(vpc).is_some() {
                let text = format!("Network {vpc} already has an internet gateway attached");
                return Err(errors::invalid(text));
            }
            (id.clone(), InternetGateway { vpc: Some(vpc.clone()), tags: gateway.tags.clone() })
        };
        tx.put::<InternetGateway>(OwnKey::new(&caller.scope, &id), gateway);
        Ok(AttachInternetGatewayOutput {})
    }
);

command!(
    DetachInternetGateway,
    |ask, input| Resources::from(ask.on(kind::GATEWAY, given(&input.internet_gateway_id)))
        .and([ask.on(kind::VPC, given(&input.vpc_id))]),
    |tx, caller, input| {
        let (id, own_tags): (Id, Tags) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, gateway) = find::gateway(&realm, given(&input.internet_gateway_id))?;
            let (vpc, _) = find::vpc(&realm, given(&input.vpc_id))?;
            if gateway.vpc.as_ref() != Some(vpc) {
                return Err(errors::not_attached(id, vpc));
            }
            (id.clone(), gateway.tags.clone())
        };
        let gateway = InternetGateway { vpc: None, tags: own_tags };
        tx.put::<InternetGateway>(OwnKey::new(&caller.scope, &id), gateway);
        Ok(DetachInternetGatewayOutput {})
    }
);

command!(
    DeleteInternetGateway,
    |ask, input| ask.on(kind::GATEWAY, given(&input.internet_gateway_id)),
    |tx, caller, input| {
        let id = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, gateway) = find::gateway(&realm, given(&input.internet_gateway_id))?;
            if gateway.vpc.is_some() {
                return Err(errors::has_dependencies("internetGateway", id));
            }
            id.clone()
        };
        tx.delete::<InternetGateway>(OwnKey::new(&caller.scope, &id));
        Ok(DeleteInternetGatewayOutput {})
    }
);
