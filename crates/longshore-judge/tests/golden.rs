//! Requests and answers as bytes, one or two for each protocol. `tests/protocols` has a client judge all operations; this
//! says what the bytes are.

use longshore_shapes_cloudwatch as cloudwatch;
use longshore_shapes_ec2 as ec2;
use longshore_shapes_iam as iam;
use longshore_shapes_s3 as s3;
use longshore_shapes_scheduler as scheduler;
use longshore_shapes_sts as sts;
use longshore_wire::rest::Request;
use longshore_wire::{OperationShape, Protocol, json};

fn read<O: OperationShape>(
    protocol: Protocol,
    path: &str,
    query: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let request = Request { path, query, headers, body };
    match protocol.read::<O>(&request) {
        Ok(input) => String::from_utf8(json::to_vec(&input)).expect("JSON is text"),
        Err(error) => format!("refused: {error}"),
    }
}

fn form<O: OperationShape>(protocol: Protocol, body: &str) -> String {
    read::<O>(protocol, "/", "", &[], body.as_bytes())
}

/// The answer to an output that is given as JSON: its status, headers and body.
fn answer<O: OperationShape>(protocol: Protocol, output: &str) -> (u16, Vec<(String, String)>, String) {
    let output: O::Output = json::from_slice(output.as_bytes()).expect("an output");
    let reply = protocol.answer::<O>(&output, "id");
    (reply.status, reply.headers, String::from_utf8_lossy(&reply.body).into_owned())
}

#[test]
fn query() {
    let body = "Action=TagRole&Version=2010-05-08&RoleName=r&Tags.member.2.Key=b&Tags.member.2.Value=&Tags.member.10.Key=c&Tags.member.1.Key=a%2Fb&Tags.member.1.Value=x+y";
    assert_eq!(
        form::<iam::ops::TagRole>(Protocol::Query, body),
        r#"{"RoleName":"r","Tags":[{"Key":"a/b","Value":"x y"},{"Key":"b","Value":""},{"Key":"c"}]}"#
    );
    assert_eq!(
        form::<iam::ops::TagRole>(Protocol::Query, "RoleName=r&Tags="),
        r#"{"RoleName":"r","Tags":[]}"#
    );
    assert_eq!(
        form::<iam::ops::TagRole>(Protocol::Query, "RoleName=r&Tags.member.x.Key=a"),
        "refused: Tags: not valid list index"
    );
    let (status, _, body) = answer::<sts::ops::GetCallerIdentity>(
        Protocol::Query,
        r#"{"Account":"1","Arn":"a<b&c","UserId":"u"}"#,
    );
    assert_eq!(status, 200);
    assert_eq!(
        body,
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Account>1</Account><Arn>a&lt;b&amp;c</Arn><UserId>u</UserId></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    // An operation without an output has no result.
    let (_, _, body) = answer::<iam::ops::TagRole>(Protocol::Query, "{}");
    assert_eq!(
        body,
        "<TagRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata><RequestId>id</RequestId>\
         </ResponseMetadata></TagRoleResponse>"
    );
    let error = iam::NoSuchEntityException::new("The role with name r cannot be found.");
    let reply = Protocol::Query.error(&error, Some(&iam::SERVICE), "id");
    assert_eq!((reply.status, reply.content_type), (404, "text/xml"));
    assert_eq!(
        String::from_utf8_lossy(&reply.body),
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>\
         <Message>The role with name r cannot be found.</Message></Error><RequestId>id</RequestId></ErrorResponse>"
    );
}

#[test]
fn ec2_query() {
    let body =
        "Action=DescribeVpcs&VpcId.1=vpc-1&Filter.1.Name=is-default&Filter.1.Value.1=true&MaxResults=5";
    assert_eq!(
        form::<ec2::ops::DescribeVpcs>(Protocol::Ec2Query, body),
        r#"{"Filters":[{"Name":"is-default","Values":["true"]}],"MaxResults":5,"VpcIds":["vpc-1"]}"#
    );
    let (_, _, body) = answer::<ec2::ops::DescribeVpcs>(
        Protocol::Ec2Query,
        r#"{"Vpcs":[{"VpcId":"vpc-1","IsDefault":true,"Tags":[{"Key":"k","Value":"v"}]}]}"#,
    );
    assert_eq!(
        body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeVpcsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>id</requestId><vpcSet><item><isDefault>true</isDefault><tagSet><item><key>k</key><value>v</value></item>\
         </tagSet><vpcId>vpc-1</vpcId></item></vpcSet></DescribeVpcsResponse>"
    );
}

#[test]
fn cbor_and_query_compatible_errors() {
    // {"Namespace": "n"}
    let body = b"\xa1\x69Namespace\x61n";
    let text = read::<cloudwatch::ops::PutMetricData>(Protocol::RpcV2Cbor, "/", "", &[], body);
    assert_eq!(text, r#"{"Namespace":"n"}"#);
    let output = cloudwatch::ListMetricsOutput { next_token: Some("t".into()), ..Default::default() };
    let reply = Protocol::RpcV2Cbor.answer::<cloudwatch::ops::ListMetrics>(&output, "id");
    assert_eq!(reply.body, b"\xa1\x69NextToken\x61t");
    assert_eq!(reply.headers, [("smithy-protocol".to_owned(), "rpc-v2-cbor".to_owned())]);
    let error = cloudwatch::ResourceNotFoundException::new("no");
    let reply = Protocol::AwsJson10.error(&error, Some(&cloudwatch::SERVICE), "id");
    assert_eq!(
        String::from_utf8_lossy(&reply.body),
        r#"{"__type":"ResourceNotFoundException","message":"no"}"#
    );
    assert_eq!(
        reply.headers,
        [("x-amzn-query-error".to_owned(), "ResourceNotFoundException;Sender".to_owned())]
    );
}

#[test]
fn rest_json() {
    let text = read::<scheduler::ops::DeleteSchedule>(
        Protocol::RestJson1,
        "/schedules/my%2Fone",
        "clientToken=t&groupName=g",
        &[],
        b"",
    );
    assert_eq!(text, r#"{"ClientToken":"t","GroupName":"g","Name":"my/one"}"#);
    let (status, headers, body) =
        answer::<scheduler::ops::CreateSchedule>(Protocol::RestJson1, r#"{"ScheduleArn":"arn"}"#);
    assert_eq!((status, headers, body.as_str()), (200, Vec::new(), r#"{"ScheduleArn":"arn"}"#));
}

#[test]
fn rest_xml() {
    let body = b"<Delete><Object><Key>a &amp; b</Key></Object><Object><Key>c</Key></Object><Quiet>true</Quiet></Delete>";
    let text =
        read::<s3::ops::DeleteObjects>(Protocol::RestXml, "/bucket", "delete", &[("x-amz-mfa", "m")], body);
    assert_eq!(
        text,
        r#"{"Bucket":"bucket","Delete":{"Objects":[{"Key":"a & b"},{"Key":"c"}],"Quiet":true},"MFA":"m"}"#
    );
    let text = read::<s3::ops::GetObject>(
        Protocol::RestXml,
        "/bucket/a/b%20c",
        "versionId=v",
        &[("range", "bytes=0-1")],
        b"",
    );
    assert_eq!(text, r#"{"Bucket":"bucket","Key":"a/b c","Range":"bytes=0-1","VersionId":"v"}"#);
    let (_, _, body) = answer::<s3::ops::ListObjectsV2>(
        Protocol::RestXml,
        r#"{"Name":"bucket","KeyCount":1,"Contents":[{"Key":"a","Size":3}]}"#,
    );
    assert_eq!(
        body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListObjectsV2Output xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Contents><Key>a</Key><Size>3</Size></Contents><KeyCount>1</KeyCount><Name>bucket</Name></ListObjectsV2Output>"
    );
    let bad =
        read::<s3::ops::DeleteObjects>(Protocol::RestXml, "/b", "delete", &[], b"<!DOCTYPE x><Delete/>");
    assert!(bad.starts_with("refused: a document type"), "{bad}");
}
