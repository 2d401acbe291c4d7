//! Where requests go, with the facts of all services: what clients send, and what the server says to it.

use longshore_catalog as catalog;
use longshore_wire::route::{Head, Known, Routing, Why, route};

/// Those that this server serves: ECS, all of it; of STS, one operation; S3 and the scheduler for their paths.
fn known() -> Vec<Known> {
    let built = |name| match name {
        "ecs" | "s3" | "scheduler" | "cloudwatch" | "elb" => {
            catalog::ALL.iter().find(|f| f.name == name).map(|f| f.operations)
        }
        "sts" => Some(&["GetCallerIdentity"][..]),
        _ => None,
    };
    catalog::ALL.iter().map(|&facts| Known { facts, built: built(facts.name) }).collect()
}

/// `POST ecs /path?query | header: value | ... || body` to what becomes of it. The second word is the service of the
/// signature, or `-`. No body is an empty one.
fn check(request: &str, want: &str) {
    let (head, body) = request.split_once(" || ").unwrap_or((request, ""));
    let mut parts = head.split(" | ");
    let line: Vec<&str> = parts.next().expect("a line").split(' ').collect();
    let [method, claimed, target] = line[..] else { panic!("{request}") };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(&str, &str)> = parts.map(|header| header.split_once(": ").expect("a header")).collect();
    let head = Head { method, path, query, headers: &headers, claimed: (claimed != "-").then_some(claimed) };
    let mut routing = route(&head, None, &known());
    if routing == Routing::NeedsBody {
        routing = route(&head, Some(body.as_bytes()), &known());
    } else {
        // What says all in its head says the same with its body.
        assert_eq!(route(&head, Some(body.as_bytes()), &known()), routing, "{request}");
    }
    let got = match routing {
        Routing::To(to) => format!("{} {} {:?}", to.facts.name, to.operation, to.protocol),
        Routing::Refused(refused) => {
            let reply = refused.reply("id");
            // No SDK asks again for 501 either.
            assert!((400..500).contains(&reply.status) || reply.status == 501, "{request}: {reply:?}");
            let service = refused.facts.map_or("-", |facts| facts.name);
            let why = match refused.why {
                Why::NotServed(operation) => format!("NotServed({})", operation.unwrap_or("-")),
                Why::NotBuilt(operation) => format!("NotBuilt({operation})"),
                other => format!("{other:?}").replace('"', ""),
            };
            let code = reply.error.expect("it is refused").code;
            format!("{service} {why} {:?} {} {code}", refused.protocol, reply.status)
        }
        Routing::NeedsBody => "NeedsBody".into(),
        Routing::Elsewhere => "Elsewhere".into(),
    };
    assert_eq!(got, want, "{request}");
}

const JSON: &str = "content-type: application/x-amz-json-1.1";
const FORM: &str = "content-type: application/x-www-form-urlencoded; charset=utf-8";

#[test]
fn targets() {
    let ecs = "x-amz-target: AmazonEC2ContainerServiceV20141113";
    check(&format!("POST ecs / | {JSON} | {ecs}.RunTask || {{}}"), "ecs RunTask AwsJson11");
    check(&format!("POST - / | {ecs}.RunTask || {{}}"), "ecs RunTask AwsJson11");
    check(
        &format!("POST ecs / | content-type: application/x-amz-json-1.0 | {ecs}.RunTask"),
        "ecs RunTask AwsJson10",
    );
    check(
        &format!("POST ecs / | {ecs}.RunTasks"),
        "ecs NoSuchOperation(RunTasks) AwsJson11 404 UnknownOperationException",
    );
    check(&format!("POST ecr / | {ecs}.RunTask"), "ecs WrongScope AwsJson11 400 InvalidSignatureException");
    check(
        &format!("POST dynamodb / | {ecs}.RunTask"),
        "ecs WrongScope AwsJson11 400 InvalidSignatureException",
    );
    check(
        &format!("POST ecs / | {ecs}.RunTask | {ecs}.StopTask"),
        "- Malformed(There are several X-Amz-Target headers.) AwsJson11 400 SerializationException",
    );
    for bad in ["RunTask", ".", "Other.RunTask", "AmazonEC2ContainerServiceV20141113."] {
        let want = format!("- NoSuchOperation({bad}) AwsJson11 404 UnknownOperationException");
        check(&format!("POST ecs / | x-amz-target: {bad}"), &want);
    }
    // A form beside a target is a body that is no JSON, not another operation.
    check(&format!("POST ecs / | {FORM} | {ecs}.RunTask || Action=StopTask"), "ecs RunTask AwsJson11");
    // A target counts at the root alone.
    check(&format!("POST ecs /acs/ws | {ecs}.RunTask"), "Elsewhere");
}

#[test]
fn services_that_are_not_served() {
    let ecr = "x-amz-target: AmazonEC2ContainerRegistry_V20150921.CreateRepository";
    let unknown = "404 UnknownOperationException";
    check(
        &format!("POST ecr / | {JSON} | {ecr}"),
        &format!("ecr NotServed(CreateRepository) AwsJson11 {unknown}"),
    );
    check(
        "POST sqs / | content-type: application/x-amz-json-1.0 | x-amz-target: AmazonSQS.ListQueues || {}",
        &format!("- UnknownService(sqs) AwsJson10 {unknown}"),
    );
    check("GET lambda /2015-03-31/functions/", &format!("- UnknownService(lambda) RestJson1 {unknown}"));
    check("GET route53 /2013-04-01/hostedzone", "- UnknownService(route53) RestXml 501 NotImplemented");
    check(
        &format!("POST sns / | {FORM} || Action=Publish&Version=2010-03-31"),
        "- UnknownService(sns) Query 400 InvalidAction",
    );
    check(
        &format!("POST ec2 / | {FORM} || Action=DescribeVpcs&Version=2016-11-15"),
        "ec2 NotServed(DescribeVpcs) Ec2Query 400 InvalidAction",
    );
    check(
        &format!("POST iam / | {FORM} || Action=ListRoles&Version=2010-05-08"),
        "iam NotServed(ListRoles) Query 400 InvalidAction",
    );
    check(&format!("POST iam / | {FORM} || Action=Nothing"), "iam NotServed(-) Query 400 InvalidAction");
}

#[test]
fn forms() {
    let sts = "Version=2011-06-15&Action=GetCallerIdentity";
    check(&format!("POST sts / | {FORM} || {sts}"), "sts GetCallerIdentity Query");
    check(&format!("POST - / | {FORM} || {sts}"), "sts GetCallerIdentity Query");
    check(&format!("POST sts / | {FORM} || Action=GetCallerIdentity"), "sts GetCallerIdentity Query");
    check(&format!("GET sts /?{sts}"), "sts GetCallerIdentity Query");
    check(&format!("POST sts /?{sts}"), "sts GetCallerIdentity Query");
    // Half of it here and half there is neither.
    check(&format!("POST sts /?{sts} | {FORM} || a=b"), "- NoName Query 400 InvalidAction");
    check(
        &format!("POST sts /?{sts} | content-type: text/plain || x"),
        "- NoName AwsJson11 404 UnknownOperationException",
    );
    check(
        &format!("POST sts / | {FORM} || Action=AssumeRole&Version=2011-06-15"),
        "sts NotBuilt(AssumeRole) Query 400 InvalidAction",
    );
    check(
        &format!("POST sts / | {FORM} || Action=Assume&Version=2011-06-15"),
        "sts NoSuchOperation(Assume) Query 400 InvalidAction",
    );
    check(
        &format!("POST sts / | {FORM} || Action=GetCallerIdentity&Version=2009-01-01"),
        "sts NoSuchOperation(GetCallerIdentity of version 2009-01-01) Query 400 InvalidAction",
    );
    check(&format!("POST ecs / | {FORM} || {sts}"), "sts WrongScope Query 403 SignatureDoesNotMatch");
    check(
        &format!("POST sts / | {FORM} || Action=a&Action=b"),
        "- Malformed(The form cannot be read.) Query 400 MalformedInput",
    );
    // The version alone tells these two apart.
    let v1 = "Action=DescribeLoadBalancers&Version=2012-06-01";
    check(&format!("POST elasticloadbalancing / | {FORM} || {v1}"), "elb DescribeLoadBalancers Query");
    let v2 = "Action=DescribeLoadBalancers&Version=2015-12-01";
    check(
        &format!("POST elasticloadbalancing / | {FORM} || {v2}"),
        "elbv2 NotServed(DescribeLoadBalancers) Query 400 InvalidAction",
    );
    check(
        &format!("POST elasticloadbalancing / | {FORM} || Action=DescribeTargetGroups"),
        "elbv2 NotServed(DescribeTargetGroups) Query 400 InvalidAction",
    );
    // ECS takes no forms, which every page can send.
    check(
        &format!("POST ecs / | {FORM} || Action=CreateCluster&Version=2014-11-13"),
        "- NoSuchOperation(CreateCluster) Query 400 InvalidAction",
    );
    check("GET ecs /?Action=CreateCluster", "- NoSuchOperation(CreateCluster) Query 400 InvalidAction");
}

#[test]
fn one_service_in_three_protocols() {
    let cbor = "smithy-protocol: rpc-v2-cbor | content-type: application/cbor";
    let path = "/service/GraniteServiceVersion20100801/operation";
    check(&format!("POST monitoring {path}/PutMetricData | {cbor}"), "cloudwatch PutMetricData RpcV2Cbor");
    check(
        "POST monitoring / | content-type: application/x-amz-json-1.0 | x-amz-target: GraniteServiceVersion20100801.PutMetricData",
        "cloudwatch PutMetricData AwsJson10",
    );
    check(
        &format!("POST monitoring / | {FORM} || Action=PutMetricData&Version=2010-08-01"),
        "cloudwatch PutMetricData Query",
    );
    let unknown = "404 UnknownOperationException";
    check(
        &format!("POST monitoring {path}/Nothing | {cbor}"),
        &format!("cloudwatch NoSuchOperation(Nothing) RpcV2Cbor {unknown}"),
    );
    check(
        &format!("POST ecs {path}/PutMetricData | {cbor}"),
        "cloudwatch WrongScope RpcV2Cbor 400 InvalidSignatureException",
    );
    check(&format!("POST monitoring / | {cbor}"), &format!("- NoName RpcV2Cbor {unknown}"));
    check(
        &format!("POST gamelift /service/GameLift/operation/ListFleets | {cbor}"),
        &format!("- UnknownService(gamelift) RpcV2Cbor {unknown}"),
    );
    // The model of ECS lists no CBOR.
    let ecs = "/service/AmazonEC2ContainerServiceV20141113/operation/ListClusters";
    check(
        &format!("POST ecs {ecs} | {cbor}"),
        &format!("- NoSuchOperation(AmazonEC2ContainerServiceV20141113) RpcV2Cbor {unknown}"),
    );
}

#[test]
fn paths() {
    for (line, operation) in [
        ("GET /", "ListBuckets"),
        ("PUT /metrics", "CreateBucket"),
        ("HEAD /b", "HeadBucket"),
        ("GET /b/", "ListObjects"),
        ("GET /b?list-type=2&prefix=x", "ListObjectsV2"),
        ("GET /b?list-type=1", "ListObjects"),
        ("GET /b?location", "GetBucketLocation"),
        ("GET /b?lifecycle=", "GetBucketLifecycleConfiguration"),
        ("PUT /b?acl", "PutBucketAcl"),
        ("GET /b?metrics&id=1", "GetBucketMetricsConfiguration"),
        ("GET /b?metrics", "ListBucketMetricsConfigurations"),
        ("GET /b/a/b%20c", "GetObject"),
        ("GET /b/k?versionId=7", "GetObject"),
        ("GET /b/k?uploadId=7", "ListParts"),
        ("PUT /b/k?x-id=PutObject", "PutObject"),
        ("PUT /b/k?partNumber=1&uploadId=7", "UploadPart"),
        ("PUT /b/k?partNumber=1", "PutObject"),
        ("DELETE /b/k?tagging", "DeleteObjectTagging"),
        ("POST /b?delete", "DeleteObjects"),
        ("POST /b/k?uploads", "CreateMultipartUpload"),
    ] {
        let (method, path) = line.split_once(' ').expect("two words");
        check(&format!("{method} s3 {path}"), &format!("s3 {operation} RestXml"));
    }
    check("PUT s3 /b/k | x-amz-copy-source: /b/other", "s3 CopyObject RestXml");
    check("PUT s3 /b/k?partNumber=1&uploadId=7 | x-amz-copy-source: /b/o", "s3 UploadPartCopy RestXml");
    // A target or a form does not lead away from S3, whose buckets may be called anything.
    check(&format!("PUT s3 /b/k | {FORM} | x-amz-target: Any.Thing || Action=x"), "s3 PutObject RestXml");
    check("BREW s3 /b", "s3 NoSuchOperation(BREW /b) RestXml 405 MethodNotAllowed");
    check("POST scheduler /schedules/a", "scheduler CreateSchedule RestJson1");
    check("GET scheduler /schedules", "scheduler ListSchedules RestJson1");
    check("GET scheduler /tags/arn%3Aaws%3Ax", "scheduler ListTagsForResource RestJson1");
    check("GET scheduler /", "scheduler NoSuchOperation(GET /) RestJson1 404 UnknownOperationException");
}

#[test]
fn what_is_no_api_request() {
    for line in [
        "GET - /healthz",
        "GET - /metrics?Action=x",
        "GET ecs /acs/ws?Action=x",
        "PUT - /b/k",
        "OPTIONS - /x",
    ] {
        check(line, "Elsewhere");
    }
    check("GET - /", "- NoName Query 400 InvalidAction");
    check("POST ecs / || {}", "- NoName AwsJson11 404 UnknownOperationException");
    check(&format!("POST ecs / | {FORM} || a=b"), "- NoName Query 400 InvalidAction");
}

#[test]
fn answers_say_what_is_missing() {
    let message = |line: &str| {
        let (method, rest) = line.split_once(' ').expect("a line");
        let (claimed, target) = rest.split_once(' ').expect("a line");
        let headers = [("x-amz-target", target)];
        let head = Head { method, path: "/", query: "", headers: &headers, claimed: Some(claimed) };
        match route(&head, None, &known()) {
            Routing::Refused(refused) => refused.error().message,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        message("POST ecr AmazonEC2ContainerRegistry_V20150921.PutImage"),
        "Longshore does not serve Amazon ECR yet (PutImage). What is meant for AWS goes there without AWS_ENDPOINT_URL; \
         AWS_ENDPOINT_URL_ECS and its like send single services here."
    );
    assert!(message("POST s\u{7}qs\u{e9} AmazonSQS.ListQueues").contains("signed for as 'sqs'"));
    assert!(message(&format!("POST ecs Other.{}", "x".repeat(1000))).len() < 400);
}
