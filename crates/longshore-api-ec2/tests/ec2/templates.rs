//! Launch templates and their versions.

use crate::support::{World, all, one};

const NAME: (&str, &str) = ("LaunchTemplateName", "web");
/// `#!/bin/sh` in base64.
const USER_DATA: &str = "IyEvYmluL3No";

fn made() -> (World, String) {
    let world = World::new();
    let members = [
        NAME,
        ("VersionDescription", "first"),
        ("LaunchTemplateData.ImageId", "ami-1"),
        ("LaunchTemplateData.InstanceType", "m5.large"),
        ("LaunchTemplateData.UserData", USER_DATA),
        ("LaunchTemplateData.IamInstanceProfile.Arn", "arn:aws:iam::123456789012:instance-profile/p"),
        ("LaunchTemplateData.SecurityGroupId.1", "sg-1"),
        ("LaunchTemplateData.BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
        ("LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize", "30"),
        ("LaunchTemplateData.TagSpecification.1.ResourceType", "instance"),
        ("LaunchTemplateData.TagSpecification.1.Tag.1.Key", "Name"),
        ("LaunchTemplateData.TagSpecification.1.Tag.1.Value", "web"),
        ("LaunchTemplateData.MetadataOptions.HttpTokens", "required"),
        ("TagSpecification.1.ResourceType", "launch-template"),
        ("TagSpecification.1.Tag.1.Key", "k"),
        ("TagSpecification.1.Tag.1.Value", "v"),
    ];
    let id = world.get("CreateLaunchTemplate", &members, "launchTemplateId");
    (world, id)
}

#[test]
fn a_template_says_what_was_given() {
    let (world, id) = made();
    let body = world.ok("DescribeLaunchTemplates", &[("LaunchTemplateName.1", "web")]);
    assert_eq!(
        (one(&body, "launchTemplateId"), one(&body, "defaultVersionNumber")),
        (id.clone(), "1".into())
    );
    assert_eq!(one(&body, "createdBy"), "arn:aws:iam::123456789012:root");
    let body = world.ok("DescribeLaunchTemplateVersions", &[("LaunchTemplateId", &id)]);
    assert_eq!((one(&body, "imageId"), one(&body, "userData")), ("ami-1".into(), USER_DATA.into()));
    assert_eq!((one(&body, "volumeSize"), one(&body, "deviceName")), ("30".into(), "/dev/xvda".into()));
    assert_eq!(
        (one(&body, "httpTokens"), one(&body, "versionDescription")),
        ("required".into(), "first".into())
    );
    assert_eq!(
        (one(&body, "arn"), one(&body, "defaultVersion")),
        ("arn:aws:iam::123456789012:instance-profile/p".into(), "true".into())
    );
    let stored = format!("{:?}", world.records());
    assert!(!stored.contains(USER_DATA) && !stored.contains("ami-1"), "it is sealed: {stored}");
    assert_eq!(
        world.refused("CreateLaunchTemplate", &[NAME, ("LaunchTemplateData.ImageId", "ami-1")]),
        "InvalidLaunchTemplateName.AlreadyExistsException: Launch template name already in use."
    );
}

#[test]
fn versions_build_on_each_other() {
    let (world, id) = made();
    let members = [
        ("LaunchTemplateId", &*id),
        ("SourceVersion", "1"),
        ("VersionDescription", "second"),
        ("LaunchTemplateData.InstanceType", "m5.xlarge"),
    ];
    let body = world.ok("CreateLaunchTemplateVersion", &members);
    assert_eq!((one(&body, "versionNumber"), one(&body, "imageId")), ("2".into(), "ami-1".into()));
    assert_eq!(
        (one(&body, "instanceType"), one(&body, "defaultVersion")),
        ("m5.xlarge".into(), "false".into())
    );
    world.ok("CreateLaunchTemplateVersion", &[NAME, ("LaunchTemplateData.InstanceType", "m5.2xlarge")]);
    let numbers =
        |members: &[(&str, &str)]| all(&world.ok("DescribeLaunchTemplateVersions", members), "versionNumber");
    assert_eq!(numbers(&[NAME]), ["3", "2", "1"]);
    assert_eq!(
        numbers(&[NAME, ("LaunchTemplateVersion.1", "$Latest"), ("LaunchTemplateVersion.2", "$Default")]),
        ["3", "1"]
    );
    assert_eq!(numbers(&[NAME, ("MinVersion", "2")]), ["3", "2"]);
    assert_eq!(numbers(&[("LaunchTemplateVersion.1", "$Latest")]), ["3"], "of all templates");
    assert_eq!(numbers(&[NAME, ("Filter.1.Name", "image-id"), ("Filter.1.Value.1", "ami-*")]), ["2", "1"]);
    assert_eq!(
        world.refused("DescribeLaunchTemplateVersions", &[NAME, ("LaunchTemplateVersion.1", "9")]),
        format!(
            "InvalidLaunchTemplateId.VersionNotFound: Could not find the specified version 9 for the launch template with \
             ID {id}."
        )
    );
    assert!(world.refused("DescribeLaunchTemplateVersions", &[]).starts_with("MissingParameter: "));

    let body = world.ok("ModifyLaunchTemplate", &[("LaunchTemplateId", &id), ("SetDefaultVersion", "2")]);
    assert_eq!(
        (one(&body, "defaultVersionNumber"), one(&body, "latestVersionNumber")),
        ("2".into(), "3".into())
    );
    assert!(
        world
            .refused("ModifyLaunchTemplate", &[NAME, ("SetDefaultVersion", "9")])
            .contains("VersionNotFound")
    );
    let members = [
        NAME,
        ("LaunchTemplateVersion.1", "1"),
        ("LaunchTemplateVersion.2", "2"),
        ("LaunchTemplateVersion.3", "9"),
    ];
    let body = world.ok("DeleteLaunchTemplateVersions", &members);
    assert_eq!(all(&one(&body, "successfullyDeletedLaunchTemplateVersionSet"), "versionNumber"), ["1"]);
    let failed = one(&body, "unsuccessfullyDeletedLaunchTemplateVersionSet");
    assert_eq!(all(&failed, "versionNumber"), ["2", "9"]);
    assert_eq!(all(&failed, "code"), ["unexpectedError", "launchTemplateVersionDoesNotExist"]);
    // Numbers are never used again.
    world.ok("DeleteLaunchTemplateVersions", &[NAME, ("LaunchTemplateVersion.1", "3")]);
    let members = [NAME, ("LaunchTemplateData.ImageId", "ami-2")];
    assert_eq!(world.get("CreateLaunchTemplateVersion", &members, "versionNumber"), "4");
}

#[test]
fn a_template_goes_with_its_versions() {
    let (world, id) = made();
    assert_eq!(world.get("DeleteLaunchTemplate", &[NAME], "launchTemplateId"), id);
    assert_eq!(
        world.refused("DeleteLaunchTemplate", &[("LaunchTemplateId", &id)]),
        format!(
            "InvalidLaunchTemplateId.NotFound: The specified launch template, with template ID {id}, does not exist."
        )
    );
    assert_eq!(
        world.refused("DescribeLaunchTemplates", &[("LaunchTemplateName.1", "web")]),
        "InvalidLaunchTemplateName.NotFoundException: The specified launch template, with template name web, does not exist."
    );
    assert!(!format!("{:?}", world.records()).contains("template-versions/"), "no version stays");
}

#[test]
fn a_template_has_a_hundred_versions() {
    let (world, _) = made();
    let members = [NAME, ("LaunchTemplateData.ImageId", "ami-2")];
    for _ in 1..100 {
        world.ok("CreateLaunchTemplateVersion", &members);
    }
    assert!(world.refused("CreateLaunchTemplateVersion", &members).starts_with("VersionLimitExceeded: "));
    let page = [NAME, ("MaxResults", "60")];
    let body = world.ok("DescribeLaunchTemplateVersions", &page);
    assert_eq!(all(&body, "versionNumber").len(), 60);
    let token = one(&body, "nextToken");
    let body =
        world.ok("DescribeLaunchTemplateVersions", &[NAME, ("MaxResults", "200"), ("NextToken", &token)]);
    assert_eq!(all(&body, "versionNumber").last().map(String::as_str), Some("1"));
    world.ok("DeleteLaunchTemplate", &[NAME]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = World::new();
    for name in ["ab", "a b c", &"n".repeat(129)] {
        let members = [("LaunchTemplateName", name), ("LaunchTemplateData.ImageId", "ami-1")];
        assert!(
            world
                .refused("CreateLaunchTemplate", &members)
                .starts_with("InvalidLaunchTemplateName.MalformedException")
        );
    }
    let members = [NAME, ("LaunchTemplateData.UserData", "not base64!")];
    assert_eq!(
        world.refused("CreateLaunchTemplate", &members),
        "InvalidUserData.Malformed: Invalid BASE64 encoding of user data."
    );
    let long = "QUFB".repeat(5462);
    let members = [NAME, ("LaunchTemplateData.UserData", &*long)];
    assert!(world.refused("CreateLaunchTemplate", &members).contains("limited to 16384 bytes"));
    let both = [NAME, ("LaunchTemplateId", "lt-1")];
    assert!(world.refused("DeleteLaunchTemplate", &both).starts_with("InvalidParameterCombination: "));
}
