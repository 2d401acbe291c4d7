//! How container instances come to be: what their agents say when they start (agent-protocol G3,
//! ecs-engine D2).

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{ArnFormat, InstanceId, Port, Region, Timestamp};
use longshore_domain::tags::Tags;
use longshore_domain::{InstanceStatus, LaunchType};
use longshore_placement::ZONE_ATTRIBUTE;
use longshore_service::{Command, Cx, Resources, Watch};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, EcsTx, record};
use longshore_wire::{Document, json};
use sha2::{Digest, Sha256};

use crate::identifiers::NoMember;
use crate::news::Joining;
use crate::{
    Caller, Ecs, attributes, container_instances, identifiers, input, permission, settings_in_force, tags,
    texts,
};

/// Says that the agent runs outside of AWS: its instance takes tasks of launch type EXTERNAL.
const EXTERNAL_ATTRIBUTE: &str = "ecs.capability.external";
const TYPE_ATTRIBUTE: &str = "ecs.instance-type";
const IMAGE_ATTRIBUTE: &str = "ecs.ami-id";
/// Longshore's own: an agent names the capacity provider that its machine belongs to, as there is no
/// Auto Scaling group that could tell.
const PROVIDER_ATTRIBUTE: &str = "longshore.capacity-provider";

/// The most attributes of one agent. The official one has about sixty.
const ATTRIBUTES_MAX: usize = 500;
/// All that an agent says of itself, in bytes of JSON: official agents need less than ten KiB. Instances are changed by
/// the dozen, so that each has to be a small part of [`longshore_store::COMMIT_BYTES_MAX`].
const REGISTRATION_BYTES_MAX: usize = 128 << 10;
/// The longest name and the longest value of an attribute that an agent may send: well above the 128 that users have,
/// because an agent whose registration is refused does not start at all.
const ATTRIBUTE_CHARS_MAX: usize = 512;
/// The most reserved ports of one machine, per protocol.
const PORTS_MAX: usize = longshore_placement::RESERVED_PORTS_MAX;
/// The most devices of one machine.
const DEVICES_MAX: usize = longshore_placement::GPUS_MAX;
/// The longest member of an identity document that is believed, in bytes: ids and names of EC2 are far shorter.
const IDENTITY_BYTES_MAX: usize = 128;

/// A registration, as far as it can be read by itself.
pub struct Registration {
    cluster: Option<String>,
    /// The instance that the agent says it is.
    named: Option<String>,
    token: Option<String>,
    agent: Agent,
    tags: Tags,
    joining: Joining,
}

impl Command<Ecs> for ops::RegisterContainerInstance {
    type Parsed = Registration;
    type Answer = RegisterContainerInstanceResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        if json::to_vec(&input).len() > REGISTRATION_BYTES_MAX {
            return Err(InvalidParameterException::new(texts::REGISTRATION_LARGE).into());
        }
        let joining = Joining::of(&input);
        let agent = Agent {
            totals: Totals::parse(input.total_resources.unwrap_or_default())?,
            gpus: gpus(input.platform_devices.unwrap_or_default())?,
            attributes: sent_attributes(input.attributes.unwrap_or_default())?,
            machine: Machine::parse(input.instance_identity_document.as_deref().unwrap_or_default()),
            versions: input.version_info.unwrap_or_default(),
        };
        Ok(Registration {
            cluster: input.cluster,
            named: input.container_instance_arn.filter(|arn| !arn.is_empty()),
            token: input.client_token.filter(|token| !token.is_empty()),
            agent,
            tags: tags::parse(input.tags.unwrap_or_default())?,
            joining,
        })
    }

    fn resources(state: &State, caller: &Caller, parsed: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        let cluster = parsed.cluster.as_deref();
        let made = permission::member_arn(caller, cluster, "container-instance", "*");
        let all = ask.tagging(ask.on_cluster(cluster), &parsed.tags, &made);
        ask.for_instance(all, || {
            let named = parsed.named.as_deref().or(caller.instance())?;
            Some(permission::member_arn(caller, cluster, "container-instance", named))
        })
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, parsed: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let Registration { cluster, named, token, agent, tags, joining: _ } = parsed;
        let at = match identifiers::pool(caller, cluster.as_deref()) {
            // Its first agent is its beginning.
            Some(pool) => pool,
            None => identifiers::cluster(tx.state(), caller, cluster.as_deref())?.0,
        };
        let empty = ClusterTables::default();
        let tables = tx.ecs().cluster(&at).unwrap_or(&empty);
        let own = own_instance(caller, tables)?;
        let (instance, known) = match (own, named) {
            // Its key says which instance it is: there is no other, however often it asks.
            (Some(key), _) => match tables.instance(key.instance) {
                Some(entry) if entry.record.status == InstanceStatus::Inactive => {
                    return Err(ClientException::new(texts::INSTANCE_INACTIVE).into());
                }
                Some(entry) => (agent.again(&at.scope.region, &entry.record)?, true),
                None => {
                    let mut instance = agent.first(tx, caller, &at, Some(key.instance), tags)?;
                    let given = key.attributes.iter().map(|(name, value)| record::Attribute {
                        name: name.clone(),
                        value: Some(value.clone()).filter(|value| !value.is_empty()),
                    });
                    instance.user_attributes.retain(|sent| !key.attributes.contains_key(&sent.name));
                    instance.user_attributes.extend(given);
                    (instance, false)
                }
            },
            (None, Some(arn)) => {
                let known = registered_before(&at, tables, &arn)?;
                (agent.again(&at.scope.region, known)?, true)
            }
            (None, None) => match token.as_deref().map(|token| id_of(&at, token)) {
                // The agent did not hear the first answer and asks again.
                Some(id) if let Some(known) = in_use(tables, id) => {
                    (agent.again(&at.scope.region, known)?, true)
                }
                // The token of an instance that was deregistered since makes another one, with an id of its own.
                Some(id) if tables.instance(id).is_none() => {
                    (agent.first(tx, caller, &at, Some(id), tags)?, false)
                }
                Some(_) | None => (agent.first(tx, caller, &at, None, tags)?, false),
            },
        };
        let id = instance.id;
        // An agent that says nothing new is no news for schedulers.
        let unchanged = known
            && tx.ecs().cluster(&at).and_then(|c| c.instance(id)).is_some_and(|e| *e.record == instance);
        if !unchanged {
            tx.put_instance(&at, instance);
        }
        Ok(RegisterContainerInstanceResponse {
            container_instance: container_instances::shape(tx.state(), &at, id),
        })
    }

    /// What became of it is told to the operator.
    fn watch<'a>(cx: Cx<'a, Ecs>, parsed: &Self::Parsed) -> Option<Watch<'a, Self::Answer, Self::Error>> {
        let joining = parsed.joining.clone();
        Some(Box::new(move |result| cx.api.news.registered(cx.caller, joining, result)))
    }
}

/// The key that an instance registers with, if it is its own (decision 50).
fn own_instance(
    caller: &Caller,
    tables: &ClusterTables,
) -> Result<Option<Arc<record::InstanceKey>>, RegisterContainerInstanceError> {
    let Some(id) = caller.instance() else { return Ok(None) };
    let id = InstanceId::parse(id).ok();
    match id.and_then(|id| tables.instance_keys().get(&id)) {
        Some(key) => Ok(Some(key.clone())),
        None => Err(ClientException::new(texts::INSTANCE_NOT_FOUND).into()),
    }
}

/// The id that a registration gets from its token, so that its repetition finds it. Agents draw a new
/// token for each attempt to register (agent-protocol G3).
fn id_of(at: &ClusterKey, token: &str) -> InstanceId {
    let mut digest = Sha256::new();
    digest.update(format!("instance\0{}\0{}\0{}\0{token}", at.scope.account, at.scope.region, at.cluster));
    let bytes: [u8; 32] = digest.finalize().into();
    InstanceId::from_bits(u128::from_be_bytes(bytes[..16].try_into().expect("16 of 32 bytes")))
}

/// The instance of this id, unless it was deregistered.
fn in_use(tables: &ClusterTables, id: InstanceId) -> Option<&record::Instance> {
    let record = &*tables.instance(id)?.record;
    (record.status != InstanceStatus::Inactive).then_some(record)
}

/// The instance that an agent says it is.
fn registered_before<'s>(
    at: &ClusterKey,
    tables: &'s ClusterTables,
    arn: &str,
) -> Result<&'s record::Instance, RegisterContainerInstanceError> {
    match identifiers::instance(at, tables, arn) {
        Ok(entry) if entry.record.status == InstanceStatus::Inactive => {
            Err(ClientException::new(texts::INSTANCE_INACTIVE).into())
        }
        Ok(entry) => Ok(&entry.record),
        Err(NoMember::NotFound) => Err(ClientException::new(texts::INSTANCE_NOT_FOUND).into()),
        Err(error @ (NoMember::OtherCluster { .. } | NoMember::Malformed)) => {
            Err(InvalidParameterException::new(error.to_string()).into())
        }
    }
}

/// What an agent says of its machine.
struct Agent {
    totals: Totals,
    gpus: Vec<Arc<str>>,
    /// In the order in which they were sent.
    attributes: Vec<record::Attribute>,
    machine: Machine,
    versions: VersionInfo,
}

impl Agent {
    /// A machine that is new to the cluster.
    fn first(
        self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        at: &ClusterKey,
        id: Option<InstanceId>,
        tags: Tags,
    ) -> Result<record::Instance, RegisterContainerInstanceError> {
        let format = if at.is_pool() {
            // Only the long format says which instances are the pool's.
            ArnFormat::Long
        } else {
            settings_in_force::arn_format(tx.state(), caller, &SettingName::ContainerInstanceLongArnFormat)
        };
        if format == ArnFormat::Short && !tags.is_empty() {
            return Err(InvalidParameterException::new(texts::tags_need_opt_in("container instance")).into());
        }
        let id = id.unwrap_or_else(|| tx.ids.instance());
        let instance = record::Instance {
            id,
            arn_format: format,
            status: InstanceStatus::Active,
            registered_at: tx.now,
            deregistered_at: None,
            ec2_instance_id: machine_id(id, false),
            capacity_provider: None,
            launch_type: if at.is_pool() { LaunchType::Fargate } else { LaunchType::Ec2 },
            cpu: 0,
            memory: 0,
            reserved_tcp: Vec::new(),
            reserved_udp: Vec::new(),
            gpus: Vec::new(),
            agent_attributes: Vec::new(),
            user_attributes: Vec::new(),
            agent_version: None,
            agent_hash: None,
            docker_version: None,
            version: 0,
            link_epoch: 0,
            connected: false,
            connected_since: Timestamp::default(),
            takeovers: record::Takeovers::default(),
            owes_credentials: false,
            tags,
            health: Vec::new(),
        };
        Ok(self.described(&at.scope.region, instance))
    }

    /// A machine that registered before: what it says of itself is renewed; its status, its tasks, its
    /// tags and what users put on it stay.
    fn again(
        self,
        region: &Region,
        known: &record::Instance,
    ) -> Result<record::Instance, RegisterContainerInstanceError> {
        let before = known.agent_attributes.iter().find(|own| *own.name == *TYPE_ATTRIBUTE);
        let now = self.attribute(TYPE_ATTRIBUTE).or(self.machine.instance_type.clone());
        if let (Some(before), Some(now)) = (before.and_then(|own| own.value.as_ref()), &now)
            && before != now
        {
            return Err(ClientException::new(texts::INSTANCE_TYPE_CHANGED).into());
        }
        Ok(self.described(region, known.clone()))
    }

    /// The value of an attribute that the agent sent.
    fn attribute(&self, name: &str) -> Option<Arc<str>> {
        self.attributes.iter().find(|own| *own.name == *name)?.value.clone()
    }

    /// The instance, with all that the agent says of its machine. What official agents leave out when they come back
    /// stays; what nothing tells, and every instance has (its zone, its machine's id), is made up.
    fn described(self, region: &Region, instance: record::Instance) -> record::Instance {
        let external = self.attributes.iter().any(|own| *own.name == *EXTERNAL_ATTRIBUTE);
        let provider = self.attribute(PROVIDER_ATTRIBUTE);
        let Self { totals, gpus, attributes, machine, versions } = self;
        let (mut own, users): (Vec<_>, Vec<_>) =
            attributes.into_iter().partition(|sent| attributes::is_reserved(&sent.name));
        let id = instance.id;
        // Official agents send the identity document once only, not when they come back (agent-protocol G3).
        let had_document =
            ![false, true].iter().any(|&external| *instance.ec2_instance_id == *machine_id(id, external));
        let before = |name: &str| {
            let known =
                instance.agent_attributes.iter().find(|known| had_document && *known.name == *name)?;
            known.value.clone()
        };
        let zone =
            machine.zone.or_else(|| before(ZONE_ATTRIBUTE)).unwrap_or_else(|| format!("{region}a").into());
        add(&mut own, ZONE_ATTRIBUTE, Some(zone));
        add(&mut own, TYPE_ATTRIBUTE, machine.instance_type.or_else(|| before(TYPE_ATTRIBUTE)));
        add(&mut own, IMAGE_ATTRIBUTE, machine.image.or_else(|| before(IMAGE_ATTRIBUTE)));
        let mut user_attributes = instance.user_attributes;
        // Where older records keep what is the agent's to say.
        user_attributes.retain(|known| !attributes::is_reserved(&known.name));
        for sent in users {
            user_attributes.retain(|known| known.name != sent.name);
            user_attributes.push(sent);
        }
        let version = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Into::into);
        let ec2_instance_id = match machine.id {
            Some(told) => told,
            None if had_document => instance.ec2_instance_id,
            None => machine_id(id, external),
        };
        record::Instance {
            ec2_instance_id,
            capacity_provider: provider.or(instance.capacity_provider),
            launch_type: match instance.launch_type {
                LaunchType::Fargate => LaunchType::Fargate,
                LaunchType::Ec2 | LaunchType::External | LaunchType::ManagedInstances if external => {
                    LaunchType::External
                }
                LaunchType::Ec2 | LaunchType::External | LaunchType::ManagedInstances => LaunchType::Ec2,
            },
            cpu: totals.cpu,
            memory: totals.memory,
            reserved_tcp: totals.tcp,
            reserved_udp: totals.udp,
            gpus,
            agent_attributes: own,
            user_attributes,
            agent_version: version(versions.agent_version).or(instance.agent_version),
            agent_hash: version(versions.agent_hash).or(instance.agent_hash),
            docker_version: version(versions.docker_version).or(instance.docker_version),
            ..instance
        }
    }
}

/// Adds what the agent did not say itself.
fn add(attributes: &mut Vec<record::Attribute>, name: &str, value: Option<Arc<str>>) {
    if value.is_some() && !attributes.iter().any(|own| *own.name == *name) {
        attributes.push(record::Attribute { name: name.into(), value });
    }
}

/// A stand-in for the id of the EC2 machine, or of the managed one that every external machine is (ecs-surfaces F2),
/// where nothing tells it: as long as the instance stays the same, so does this.
fn machine_id(id: InstanceId, external: bool) -> Arc<str> {
    let kind = if external { "mi" } else { "i" };
    // Seventeen hex digits are 68 bits.
    format!("{kind}-{:017x}", id.bits() >> 60).into()
}

/// `totalResources`, read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    cpu: u32,
    memory: u32,
    tcp: Vec<Port>,
    udp: Vec<Port>,
}

impl Totals {
    /// CPU and MEMORY have to be there; other kinds than the four are left alone.
    fn parse(sent: Vec<Resource>) -> Result<Self, InvalidParameterException> {
        let (mut cpu, mut memory, mut totals) = (None, None, Self::default());
        for resource in sent {
            match resource.name.as_deref() {
                Some("CPU") => cpu = Some(amount(&resource)?),
                Some("MEMORY") => memory = Some(amount(&resource)?),
                Some("PORTS") => totals.tcp = ports(resource.string_set_value)?,
                Some("PORTS_UDP") => totals.udp = ports(resource.string_set_value)?,
                Some(_) | None => {}
            }
        }
        match (cpu, memory) {
            (Some(cpu), Some(memory)) => Ok(Self { cpu, memory, ..totals }),
            (None, _) | (_, None) => Err(InvalidParameterException::new(texts::RESOURCES)),
        }
    }
}

fn amount(resource: &Resource) -> Result<u32, InvalidParameterException> {
    let amount = resource.integer_value.and_then(|amount| u32::try_from(amount).ok());
    amount.ok_or_else(|| InvalidParameterException::new(texts::RESOURCES))
}

/// Port numbers, ascending, each once.
fn ports(texts: Option<Vec<String>>) -> Result<Vec<Port>, InvalidParameterException> {
    let number = |text: &String| text.parse().ok().filter(|&number: &u16| number > 0).map(Port);
    let ports: Option<Vec<Port>> = texts.unwrap_or_default().iter().map(number).collect();
    let mut ports = ports.ok_or_else(|| InvalidParameterException::new(texts::RESOURCES))?;
    ports.sort_unstable();
    ports.dedup();
    if ports.len() > PORTS_MAX {
        return Err(InvalidParameterException::new(texts::RESERVED_PORTS));
    }
    Ok(ports)
}

/// The ids of the devices, all of which are GPUs: there is no other kind.
fn gpus(devices: Vec<PlatformDevice>) -> Result<Vec<Arc<str>>, InvalidParameterException> {
    if devices.len() > DEVICES_MAX {
        return Err(InvalidParameterException::new(texts::too_many("platformDevices", DEVICES_MAX)));
    }
    Ok(devices.into_iter().filter_map(|device| device.id).map(Into::into).collect())
}

/// The attributes as sent, each name once: the last one counts. Their values are not judged, because an agent
/// ends when one does not come back as it was.
fn sent_attributes(sent: Vec<Attribute>) -> Result<Vec<record::Attribute>, InvalidParameterException> {
    if sent.len() > ATTRIBUTES_MAX {
        return Err(InvalidParameterException::new(texts::too_many("attributes", ATTRIBUTES_MAX)));
    }
    let mut places: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut attributes: Vec<record::Attribute> = Vec::with_capacity(sent.len());
    for attribute in sent {
        let name: Arc<str> = attribute.name.unwrap_or_default().into();
        let long = |text: &str| text.chars().count() > ATTRIBUTE_CHARS_MAX;
        if name.is_empty() || long(&name) || attribute.value.as_deref().is_some_and(long) {
            return Err(InvalidParameterException::new(texts::ATTRIBUTE_NAME));
        }
        let attribute = record::Attribute { name: name.clone(), value: attribute.value.map(Into::into) };
        match places.get(&name) {
            Some(&place) => attributes[place] = attribute,
            None => {
                places.insert(name, attributes.len());
                attributes.push(attribute);
            }
        }
    }
    Ok(attributes)
}

/// What the identity document of an EC2 machine tells. Its signature is not verified: whoever may register
/// may also say what it likes in the attributes.
#[derive(Debug, Default)]
struct Machine {
    id: Option<Arc<str>>,
    zone: Option<Arc<str>>,
    instance_type: Option<Arc<str>>,
    image: Option<Arc<str>>,
}

impl Machine {
    /// An absent or unreadable document tells nothing.
    fn parse(document: &str) -> Self {
        let Ok(Document::Map(members)) = json::from_slice(document.as_bytes()) else {
            return Self::default();
        };
        let text = |name: &str| match members.get(name) {
            Some(Document::String(text)) if !text.is_empty() && text.len() <= IDENTITY_BYTES_MAX => {
                Some(text.as_str().into())
            }
            Some(_) | None => None,
        };
        Self {
            id: text("instanceId"),
            zone: text("availabilityZone"),
            instance_type: text("instanceType"),
            image: text("imageId"),
        }
    }
}
