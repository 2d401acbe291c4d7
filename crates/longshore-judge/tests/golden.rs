//! Requests and answers as bytes, one or two for each protocol. `tests/protocols` has a client judge all operations; this
//! says what the bytes are.

use longshore_shapes_cloudwatch as cloudwatch;
use longshore_shapes_ec2 as ec2;
use longshore_shapes_iam as iam;
use longshore_shapes_s3 as s3;
use longshore_shapes_scheduler as scheduler;
use longshore_shapes_sts as sts;
use longshore_wire::rest::Request;
use longshore_wire::{GenericError, GenericErrorKind, OperationShape, Protocol, json};

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
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Contents><Key>a</Key><Size>3</Size></Contents><KeyCount>1</KeyCount><Name>bucket</Name></ListBucketResult>"
    );
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    let root = |name: &str| format!("{head}<{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    let (_, _, body) = answer::<s3::ops::ListBuckets>(Protocol::RestXml, r#"{"Buckets":[{"Name":"one"}]}"#);
    let inside = "<Buckets><Bucket><Name>one</Name></Bucket></Buckets></ListAllMyBucketsResult>";
    assert_eq!(body, root("ListAllMyBucketsResult") + inside);
    let (_, _, body) = answer::<s3::ops::CreateMultipartUpload>(Protocol::RestXml, r#"{"UploadId":"u"}"#);
    assert_eq!(
        body,
        root("InitiateMultipartUploadResult") + "<UploadId>u</UploadId></InitiateMultipartUploadResult>"
    );
    // One element with a text in it, and without one in S3's first region.
    let place = |output| answer::<s3::ops::GetBucketLocation>(Protocol::RestXml, output);
    assert_eq!(
        place(r#"{"LocationConstraint":"eu-west-1"}"#).2,
        root("LocationConstraint") + "eu-west-1</LocationConstraint>"
    );
    assert_eq!(place("{}").2, root("LocationConstraint") + "</LocationConstraint>");
    // A policy is its own text.
    let (_, _, body) = answer::<s3::ops::GetBucketPolicy>(Protocol::RestXml, r#"{"Policy":"{\"a\":1}"}"#);
    assert_eq!(body, "{\"a\":1}");
    let error = GenericError::new(GenericErrorKind::NotBuilt, "a & b");
    let reply = Protocol::RestXml.error_about(
        &error,
        Some(<s3::ops::GetObject as OperationShape>::SERVICE),
        "id",
        "/b/k",
    );
    assert_eq!(
        (reply.status, String::from_utf8_lossy(&reply.body).into_owned()),
        (
            501,
            format!(
                "{head}<Error><Code>NotImplemented</Code><Message>a &amp; b</Message><Resource>/b/k</Resource>\
                 <RequestId>id</RequestId><HostId>id</HostId></Error>"
            )
        )
    );
    let bad =
        read::<s3::ops::DeleteObjects>(Protocol::RestXml, "/b", "delete", &[], b"<!DOCTYPE x><Delete/>");
    assert!(bad.starts_with("refused: a document type"), "{bad}");
}

/// The client's half: a request as it is written, and an answer as it is read.
mod client {
    use longshore_wire::{NotWritten, Received};
    use proptest::prelude::*;

    use super::*;

    fn written<O: OperationShape>(protocol: Protocol, input: &str, token: Option<&str>) -> (String, String) {
        let input: O::Input = json::from_slice(input.as_bytes()).expect("an input");
        let written = protocol.write_request::<O>(&input, token).expect("it is written");
        let headers: Vec<String> =
            written.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let head = format!("{} {} {}", written.method, written.path, headers.join(", "));
        (head, String::from_utf8_lossy(&written.body).into_owned())
    }

    fn heard<O: OperationShape>(protocol: Protocol, body: &str) -> String {
        let answer = Received { status: 200, headers: &[], body: body.as_bytes() };
        match protocol.read_answer::<O>(&answer) {
            Ok(output) => String::from_utf8(json::to_vec(&output)).expect("JSON is text"),
            Err(error) => format!("refused: {error}"),
        }
    }

    fn error(protocol: Protocol, headers: &[(&str, &str)], body: &str) -> Option<(String, String)> {
        let answer = Received { status: 400, headers, body: body.as_bytes() };
        protocol.read_error(&answer).map(|error| (error.code, error.message))
    }

    #[test]
    fn requests() {
        assert_eq!(
            written::<cloudwatch::ops::ListMetrics>(Protocol::AwsJson10, r#"{"Namespace":"n"}"#, None),
            (
                "POST / content-type: application/x-amz-json-1.0, x-amz-target: GraniteServiceVersion20100801.ListMetrics, \
                 x-amzn-query-mode: true"
                    .to_owned(),
                r#"{"Namespace":"n"}"#.to_owned()
            )
        );
        assert_eq!(
            written::<cloudwatch::ops::ListMetrics>(Protocol::RpcV2Cbor, r#"{"NextToken":"t"}"#, None),
            (
                "POST /service/GraniteServiceVersion20100801/operation/ListMetrics accept: application/cbor, content-type: \
                 application/cbor, smithy-protocol: rpc-v2-cbor, x-amzn-query-mode: true"
                    .to_owned(),
                String::from_utf8_lossy(b"\xa1\x69NextToken\x61t").into_owned()
            )
        );
        let form = "POST / content-type: application/x-www-form-urlencoded; charset=utf-8".to_owned();
        let tags = r#"{"RoleName":"r","Tags":[{"Key":"a/b","Value":"x y+"},{"Key":"ä"}]}"#;
        assert_eq!(
            written::<iam::ops::TagRole>(Protocol::Query, tags, None),
            (
                form.clone(),
                "Action=TagRole&Version=2010-05-08&RoleName=r&Tags.member.1.Key=a%2Fb&Tags.member.1.Value=x%20y%2B\
                 &Tags.member.2.Key=%C3%A4"
                    .to_owned()
            )
        );
        let (_, empty) = written::<iam::ops::TagRole>(Protocol::Query, r#"{"Tags":[]}"#, None);
        assert_eq!(empty, "Action=TagRole&Version=2010-05-08&Tags=", "an empty list is told");
        let filters =
            r#"{"Filters":[{"Name":"is-default","Values":["true"]}],"MaxResults":5,"VpcIds":["vpc-1"]}"#;
        assert_eq!(
            written::<ec2::ops::DescribeVpcs>(Protocol::Ec2Query, filters, None),
            (
                form,
                "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=is-default&Filter.1.Value.1=true&MaxResults=5\
                 &VpcId.1=vpc-1"
                    .to_owned()
            )
        );
        let refused = Protocol::RestXml.write_request::<s3::ops::GetObject>(&Default::default(), None);
        assert_eq!(refused, Err(NotWritten::Protocol(Protocol::RestXml)));
        assert_eq!(Protocol::preferred::<s3::ops::GetObject>(), None);
    }

    /// A request that may be sent again has one; the caller's own is left alone.
    #[test]
    fn tokens_are_filled_in_where_the_model_has_them() {
        use longshore_shapes_ecs::ops::{ListClusters, RunTask};

        let body = |input, token| written::<RunTask>(Protocol::AwsJson11, input, token).1;
        assert_eq!(body(r#"{"count":1}"#, Some("t")), r#"{"count":1,"clientToken":"t"}"#);
        assert_eq!(
            body(r#"{"clientToken":"mine","count":1}"#, Some("t")),
            r#"{"clientToken":"mine","count":1}"#
        );
        assert_eq!(body(r#"{"count":1}"#, None), r#"{"count":1}"#);
        // What is further down has no token.
        let nested = r#"{"overrides":{"containerOverrides":[{"name":"a"}]},"tags":[{"key":"k"}]}"#;
        let filled =
            r#"{"overrides":{"containerOverrides":[{"name":"a"}]},"tags":[{"key":"k"}],"clientToken":"t"}"#;
        assert_eq!(body(nested, Some("t")), filled);
        assert_eq!(written::<ListClusters>(Protocol::AwsJson11, "{}", Some("t")).1, "{}");
        let form = written::<ec2::ops::RunInstances>(
            Protocol::Ec2Query,
            r#"{"MaxCount":1,"MinCount":1}"#,
            Some("t"),
        )
        .1;
        assert_eq!(form, "Action=RunInstances&Version=2016-11-15&MaxCount=1&MinCount=1&ClientToken=t");
    }

    #[test]
    fn answers() {
        // As a service writes it that cares for people: white space, a prolog, a comment, members that nobody knows.
        let body = "<?xml version=\"1.0\"?>\n<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
                    <!-- it is me -->\n  <GetCallerIdentityResult>\n    <Account>1</Account>\n    <Arn>a&lt;b</Arn><New>x</New>\n  \
                    </GetCallerIdentityResult>\n  <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>\n\
                    </GetCallerIdentityResponse>\n";
        assert_eq!(
            heard::<sts::ops::GetCallerIdentity>(Protocol::Query, body),
            r#"{"Account":"1","Arn":"a<b"}"#
        );
        let body = "<TagRoleResponse><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></TagRoleResponse>";
        assert_eq!(heard::<iam::ops::TagRole>(Protocol::Query, body), "{}");
        let body = "<DescribeVpcsResponse><requestId>id</requestId><vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>\
                    </DescribeVpcsResponse>";
        assert_eq!(
            heard::<ec2::ops::DescribeVpcs>(Protocol::Ec2Query, body),
            r#"{"Vpcs":[{"VpcId":"vpc-1"}]}"#
        );
        for body in ["<a>", "{}", "<!DOCTYPE a><a/>"] {
            let said = heard::<iam::ops::TagRole>(Protocol::Query, body);
            assert!(said.starts_with("refused: "), "{body}: {said}");
        }
    }

    /// Half of an answer, an answer of somebody else, or none at all.
    fn anything() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("<GetCallerIdentityResponse>".to_owned()),
            Just("<GetCallerIdentityResult>".to_owned()),
            Just("</GetCallerIdentityResult>".to_owned()),
            Just("<vpcSet><item><tagSet>".to_owned()),
            Just("<Error><Code>".to_owned()),
            Just("</Code></Error>".to_owned()),
            Just("{\"__type\":".to_owned()),
            Just("{\"message\":".to_owned()),
            Just("}".to_owned()),
            Just("&#".to_owned()),
            ".{0,6}",
        ];
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        /// Whatever a server sends, a client reads it, or says that it cannot.
        #[test]
        fn no_answer_breaks_a_client(text in anything(), bytes in prop::collection::vec(any::<u8>(), 0..40), header in ".{0,12}") {
            let headers = [("x-amzn-errortype", header.as_str()), ("x-amzn-query-error", header.as_str())];
            for body in [text.as_bytes(), &bytes] {
                let answer = Received { status: 400, headers: &headers, body };
                for protocol in [Protocol::AwsJson10, Protocol::RpcV2Cbor, Protocol::Query, Protocol::Ec2Query, Protocol::RestJson1, Protocol::RestXml] {
                    let _ = protocol.read_error(&answer);
                }
                for protocol in [Protocol::AwsJson10, Protocol::RpcV2Cbor] {
                    let _ = protocol.read_answer::<cloudwatch::ops::ListMetrics>(&answer);
                }
                let _ = Protocol::Query.read_answer::<sts::ops::GetCallerIdentity>(&answer);
                let _ = Protocol::Ec2Query.read_answer::<ec2::ops::DescribeVpcs>(&answer);
            }
        }
    }

    #[test]
    fn errors() {
        let told = |code: &str, message: &str| Some((code.to_owned(), message.to_owned()));
        let json = |body| error(Protocol::AwsJson11, &[], body);
        assert_eq!(
            json(r#"{"__type":"com.amazon#Throttling:http://x/","Message":"m"}"#),
            told("Throttling", "m")
        );
        assert_eq!(json(r#"{"code":"C"}"#), told("C", ""));
        let header = [("x-amzn-errortype", "ns#FromHead:http://x/")];
        assert_eq!(error(Protocol::RestJson1, &header, r#"{"message":"m"}"#), told("FromHead", "m"));
        let older = [("x-amzn-query-error", "Older;Sender")];
        assert_eq!(
            error(Protocol::AwsJson10, &older, r#"{"__type":"Newer","message":"m"}"#),
            told("Older", "m")
        );
        let query = "<ErrorResponse xmlns=\"x\">\n<Error><Type>Sender</Type>\n<Code>NoSuchEntity</Code><Message>a &amp; b</Message>\
                     </Error><RequestId>id</RequestId></ErrorResponse>";
        assert_eq!(error(Protocol::Query, &[], query), told("NoSuchEntity", "a & b"));
        let ec2 = "<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>m</Message></Error></Errors>\
                   <RequestID>id</RequestID></Response>";
        assert_eq!(error(Protocol::Ec2Query, &[], ec2), told("InvalidVpcID.NotFound", "m"));
        assert_eq!(error(Protocol::RestXml, &[], "<Error><Code>C</Code></Error>"), told("C", ""));
        for (protocol, body) in [
            (Protocol::AwsJson11, "<html>502</html>"),
            (Protocol::AwsJson11, "{}"),
            (Protocol::AwsJson11, "[1]"),
            (Protocol::Query, "<html><body>502</body></html>"),
            (Protocol::Query, "oops"),
            (Protocol::RpcV2Cbor, "{}"),
        ] {
            assert_eq!(error(protocol, &[], body), None, "{protocol:?} {body}");
        }
    }
}
