//! Launch templates. What they say is in [`crate::template_versions`].

use longshore_shapes_ec2::{
    self as shapes, CreateLaunchTemplateResult, DeleteLaunchTemplateResult, ModifyLaunchTemplateResult,
    ResourceType, Tag,
};
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{LaunchTemplate, TemplateVersion};
use longshore_tables_ec2::{Ec2State, OwnKey, VersionKey};

use crate::filters::{Filterable, Texts, one, shown};
use crate::input::{given, none_of};
use crate::permission::kind;
use crate::template_versions::{self, Wanted};
use crate::{errors, find, tags};

/// AWS's quota of a region.
const TEMPLATES_MAX: usize = 5000;

/// A template as it is shown.
fn shape(id: &Id, template: &LaunchTemplate) -> shapes::LaunchTemplate {
    shapes::LaunchTemplate {
        create_time: Some(template.created_at),
        created_by: Some(template.created_by.to_string()),
        default_version_number: Some(template.default_version.into()),
        latest_version_number: Some(template.last_version.into()),
        launch_template_id: Some(id.to_string()),
        launch_template_name: Some(template.name.to_string()),
        operator: None,
        tags: tags::shown(&template.tags),
    }
}

impl Filterable for shapes::LaunchTemplate {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("create-time", |own| shown(own.create_time.map(longshore_wire::iso8601))),
        ("launch-template-name", |own| one(own.launch_template_name.as_ref())),
    ];
    const PAGE: (i32, i32) = (1, 200);

    fn place(&self) -> String {
        self.launch_template_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe!(DescribeLaunchTemplates as DescribeLaunchTemplatesResult { launch_templates } of shapes::LaunchTemplate,
    not with [],
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let all = realm.templates().iter().map(|(id, template)| shape(id, template)).collect();
        fn id(own: &shapes::LaunchTemplate) -> Option<&str> {
            own.launch_template_id.as_deref()
        }
        let all = find::selected(all, &input.launch_template_ids, id, errors::no_template)?;
        fn name(own: &shapes::LaunchTemplate) -> Option<&str> {
            own.launch_template_name.as_deref()
        }
        find::selected(all, &input.launch_template_names, name, errors::no_template_named)
    }
);

fn is_name(name: &str) -> bool {
    (3..=128).contains(&name.len())
        && name.bytes().all(|own| own.is_ascii_alphanumeric() || b"-()./_".contains(&own))
}

command!(
    CreateLaunchTemplate,
    |ask, input| ask.new_one(kind::TEMPLATE, &input.tag_specifications),
    |tx, caller, input| {
        none_of(&[("templates of other services", input.operator.is_some())])?;
        let name = given(&input.launch_template_name);
        if !is_name(name) {
            return Err(errors::template_name());
        }
        let own_tags = tags::specified(&input.tag_specifications, &ResourceType::LaunchTemplate)?;
        {
            let realm = tx.ec2().realm(&caller.scope);
            if realm.template_named(name).is_some() {
                return Err(errors::template_exists());
            }
            if realm.templates().len() >= TEMPLATES_MAX {
                return Err(errors::quota("LaunchTemplateLimitExceeded", "launch templates"));
            }
        }
        let id = ids::drawn(prefix::TEMPLATE, tx.ids.seed());
        let data = input.launch_template_data.unwrap_or_default();
        let version = template_versions::sealed(tx, caller, (&id, 1), &data, input.version_description)?;
        let template = LaunchTemplate {
            name: name.into(),
            created_at: tx.now,
            created_by: caller.principal.clone(),
            default_version: 1,
            last_version: 1,
            tags: own_tags,
        };
        let shown = shape(&id, &template);
        tx.put::<TemplateVersion>(VersionKey::new(&caller.scope, &id, 1), version);
        tx.put::<LaunchTemplate>(OwnKey::new(&caller.scope, &id), template);
        Ok(CreateLaunchTemplateResult { launch_template: Some(shown), warning: None })
    }
);

command!(
    ModifyLaunchTemplate,
    |ask, input| ask.template(input.launch_template_id.as_deref(), input.launch_template_name.as_deref()),
    |tx, caller, input| {
        let (id, mut template, number) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, name) = (input.launch_template_id.as_deref(), input.launch_template_name.as_deref());
            let (id, template) = find::template(&realm, id, name)?;
            let wanted = input.default_version.as_deref();
            let wanted = wanted.ok_or_else(|| errors::missing("setDefaultVersion"))?;
            let number = Wanted::parse(wanted)?.number(&realm, id, template)?;
            (id.clone(), LaunchTemplate::clone(template), number)
        };
        template.default_version = number;
        let shown = shape(&id, &template);
        tx.put::<LaunchTemplate>(OwnKey::new(&caller.scope, &id), template);
        Ok(ModifyLaunchTemplateResult { launch_template: Some(shown) })
    }
);

// All its versions go with it: no more than a transaction changes ([`template_versions::VERSIONS_MAX`]).
command!(
    DeleteLaunchTemplate,
    |ask, input| ask.template(input.launch_template_id.as_deref(), input.launch_template_name.as_deref()),
    |tx, caller, input| {
        let (id, shown, numbers) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, name) = (input.launch_template_id.as_deref(), input.launch_template_name.as_deref());
            let (id, template) = find::template(&realm, id, name)?;
            let numbers: Vec<u32> = realm.versions_of(id).map(|(number, _)| number).collect();
            (id.clone(), shape(id, template), numbers)
        };
        for number in numbers {
            tx.delete::<TemplateVersion>(VersionKey::new(&caller.scope, &id, number));
        }
        tx.delete::<LaunchTemplate>(OwnKey::new(&caller.scope, &id));
        Ok(DeleteLaunchTemplateResult { launch_template: Some(shown) })
    }
);
