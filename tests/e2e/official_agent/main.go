// Command official_agent opens an ECS agent's two sockets over TLS as the official agent does, and says what came of it.
//
// It is written in the official agent's language because of one thing that the agent does there: it takes "host:port" of
// the socket's URL for the name of the TLS server, so that this is what it asks for, and what the certificate has to name.
// Go's standard library is all that it needs.
//
// The environment is the agent's: AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
// ECS_CLUSTER, and SSL_CERT_FILE for the certificate that is trusted. It prints a line of JSON for each socket and each
// version of TLS.
package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
)

const patience = 60 * time.Second

var (
	region = os.Getenv("AWS_DEFAULT_REGION")
	key    = os.Getenv("AWS_ACCESS_KEY_ID")
	secret = os.Getenv("AWS_SECRET_ACCESS_KEY")
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	cluster := os.Getenv("ECS_CLUSTER")
	var registered struct {
		ContainerInstance struct{ ContainerInstanceArn, Ec2InstanceId string }
	}
	err := call("RegisterContainerInstance", map[string]any{
		"cluster": cluster, "clientToken": rand.Text(),
		"instanceIdentityDocument": "", "instanceIdentityDocumentSignature": "",
		"totalResources": []map[string]any{
			{"name": "CPU", "type": "INTEGER", "integerValue": 2048},
			{"name": "MEMORY", "type": "INTEGER", "integerValue": 2048},
			{"name": "PORTS", "type": "STRINGSET", "stringSetValue": []string{"22"}},
			{"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []string{}},
		},
		"attributes": []map[string]any{{"name": "ecs.capability.external"}, {"name": "ecs.os-type", "value": "linux"}},
	}, &registered)
	if err != nil {
		return err
	}
	arn := registered.ContainerInstance.ContainerInstanceArn
	var found struct{ Endpoint, TelemetryEndpoint string }
	err = call("DiscoverPollEndpoint", map[string]any{"cluster": cluster, "containerInstance": arn, "zoneId": ""}, &found)
	if err != nil {
		return err
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		commands := found.Endpoint + "/ws?agentHash=a8b3e7d3&agentVersion=1.105.1&clusterArn=" + cluster +
			"&containerInstanceArn=" + url.QueryEscape(arn) +
			"&dockerVersion=DockerVersion%3A+20.10.24%2Bdfsg1&protocolVersion=2&sendCredentials=true&seqNum=1"
		heard, err := converse(commands, version, func(s *socket) error {
			return s.send(`{"type":"HeartbeatAckRequest","message":{"messageId":"heartbeat-1"}}`)
		}, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", found.Endpoint, err)
		}
		report("acs", version, registered.ContainerInstance.Ec2InstanceId, arn, heard)

		telemetry := found.TelemetryEndpoint + "/ws?agentHash=a8b3e7d3&agentVersion=1.105.1&cluster=" + cluster +
			"&containerInstance=" + url.QueryEscape(arn) + "&dockerVersion=20.10.24%2Bdfsg1"
		heard, err = converse(telemetry, version, nil, func(s *socket) error {
			body := `{"type":"PublishMetricsRequest","message":{"metadata":{"cluster":"` + cluster +
				`","containerInstance":"` + arn + `","messageId":"1","idle":true,"fin":true},"timestamp":1795210858.897}}`
			headers := sign("GET", s.url, []byte(body), nil)
			return s.send(headers + "\r\n" + body)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", found.TelemetryEndpoint, err)
		}
		report("tcs", version, registered.ContainerInstance.Ec2InstanceId, arn, heard)
	}
	return nil
}

func report(socket string, version uint16, machine, arn, heard string) {
	line, _ := json.Marshal(map[string]string{
		"socket": socket, "tls": tls.VersionName(version), "ec2InstanceId": machine, "instance": arn, "heard": heard,
	})
	fmt.Println(string(line))
}

// converse opens a socket and gives the type of the first message on it.
func converse(address string, version uint16, after, before func(*socket) error) (string, error) {
	s, err := open(address, version)
	if err != nil {
		return "", err
	}
	defer s.conn.Close()
	if before != nil {
		if err := before(s); err != nil {
			return "", err
		}
	}
	text, err := s.receive()
	if err != nil {
		return "", err
	}
	var message struct{ Type string }
	if err := json.Unmarshal(text, &message); err != nil {
		return "", err
	}
	if after != nil {
		err = after(s)
	}
	return message.Type, err
}

type socket struct {
	url    *url.URL
	conn   net.Conn
	reader *bufio.Reader
}

// open dials and upgrades. The TLS server name is what the official agent uses: the host of the URL with its port.
func open(address string, version uint16) (*socket, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	conn, err := dial(target, &tls.Config{ServerName: target.Host, MinVersion: version, MaxVersion: version})
	if err != nil {
		return nil, err
	}
	nonce := base64.StdEncoding.EncodeToString([]byte(rand.Text())[:16])
	request := "GET " + target.RequestURI() + " HTTP/1.1\r\n" + sign("GET", target, nil, nil) +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + nonce + "\r\n\r\n"
	reader := bufio.NewReader(conn)
	status, headers, _, err := exchange(conn, reader, request, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	digest := sha1.Sum([]byte(nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if status != 101 || headers["sec-websocket-accept"] != base64.StdEncoding.EncodeToString(digest[:]) {
		conn.Close()
		return nil, fmt.Errorf("the upgrade was answered with %d, %v", status, headers)
	}
	return &socket{target, conn, reader}, nil
}

func dial(target *url.URL, config *tls.Config) (net.Conn, error) {
	port := target.Port()
	if port == "" {
		port = "443"
	}
	plain, err := net.DialTimeout("tcp", net.JoinHostPort(target.Hostname(), port), patience)
	if err != nil {
		return nil, err
	}
	_ = plain.SetDeadline(time.Now().Add(patience))
	conn := tls.Client(plain, config)
	if err := conn.Handshake(); err != nil {
		plain.Close()
		return nil, fmt.Errorf("TLS with server name %q: %w", config.ServerName, err)
	}
	return conn, nil
}

// send writes a text frame. Clients mask theirs (RFC 6455, section 5.3).
func (s *socket) send(text string) error {
	frame := []byte{0x81}
	switch n := len(text); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	default:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	}
	mask := []byte(rand.Text())[:4]
	frame = append(frame, mask...)
	for i := range len(text) {
		frame = append(frame, text[i]^mask[i%4])
	}
	_, err := s.conn.Write(frame)
	return err
}

// receive reads a text frame; pings and pongs are skipped.
func (s *socket) receive() ([]byte, error) {
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(s.reader, head); err != nil {
			return nil, err
		}
		length := uint64(head[1])
		if extra := map[uint64]int{126: 2, 127: 8}[length]; extra > 0 {
			more := make([]byte, 8)
			if _, err := io.ReadFull(s.reader, more[8-extra:]); err != nil {
				return nil, err
			}
			length = binary.BigEndian.Uint64(more)
		}
		if length > 1<<20 {
			return nil, errors.New("the frame is too long")
		}
		payload := make([]byte, length)
		if _, err := io.ReadFull(s.reader, payload); err != nil {
			return nil, err
		}
		switch head[0] & 0x0f {
		case 1:
			return payload, nil
		case 8:
			return nil, fmt.Errorf("the server closed the socket: %q", payload)
		}
	}
}

// call asks the API, whose client names the server without a port.
func call(operation string, input, output any) error {
	target, err := url.Parse(os.Getenv("AWS_ENDPOINT_URL") + "/")
	if err != nil {
		return err
	}
	conn, err := dial(target, &tls.Config{ServerName: target.Hostname()})
	if err != nil {
		return err
	}
	defer conn.Close()
	body, err := json.Marshal(input)
	if err != nil {
		return err
	}
	extra := map[string]string{
		"content-type": "application/x-amz-json-1.1",
		"x-amz-target": "AmazonEC2ContainerServiceV20141113." + operation,
	}
	request := "POST / HTTP/1.1\r\n" + sign("POST", target, body, extra) +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	status, _, answer, err := exchange(conn, bufio.NewReader(conn), request, body)
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("%s was answered with %d: %s", operation, status, answer)
	}
	return json.Unmarshal(answer, output)
}

// exchange sends a request and reads the answer, whose body has a length or is none.
func exchange(conn net.Conn, reader *bufio.Reader, head string, body []byte) (int, map[string]string, []byte, error) {
	if _, err := conn.Write(append([]byte(head), body...)); err != nil {
		return 0, nil, nil, err
	}
	first, err := reader.ReadString('\n')
	if err != nil {
		return 0, nil, nil, err
	}
	fields := strings.Fields(first)
	if len(fields) < 2 {
		return 0, nil, nil, fmt.Errorf("no HTTP: %q", first)
	}
	status, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0, nil, nil, err
	}
	headers := map[string]string{}
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return 0, nil, nil, err
		}
		line = strings.TrimSpace(line)
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		headers[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	length, _ := strconv.Atoi(headers["content-length"])
	answer := make([]byte, length)
	_, err = io.ReadFull(reader, answer)
	return status, headers, answer, err
}

// sign gives the header lines of a request with Signature Version 4, those in extra among them.
func sign(method string, target *url.URL, body []byte, extra map[string]string) string {
	date := time.Now().UTC().Format("20060102T150405Z")
	headers := map[string]string{"host": target.Host, "x-amz-date": date}
	for name, value := range extra {
		headers[name] = value
	}
	var names []string
	for name := range headers {
		names = append(names, name)
	}
	sort.Strings(names)
	var canonical bytes.Buffer
	// The agent writes spaces in the query as plus signs, and signs them as %20.
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", method, target.EscapedPath(), strings.ReplaceAll(target.RawQuery, "+", "%20"))
	for _, name := range names {
		fmt.Fprintf(&canonical, "%s:%s\n", name, headers[name])
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&canonical, "\n%s\n%s", signed, hash(body))
	scope := date[:8] + "/" + region + "/ecs/aws4_request"
	text := "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hash(canonical.Bytes())
	signature := []byte("AWS4" + secret)
	for _, part := range []string{date[:8], region, "ecs", "aws4_request", text} {
		mac := hmac.New(sha256.New, signature)
		mac.Write([]byte(part))
		signature = mac.Sum(nil)
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s\r\n",
		key, scope, signed, hex.EncodeToString(signature))
	for _, name := range names {
		fmt.Fprintf(&lines, "%s: %s\r\n", name, headers[name])
	}
	return lines.String()
}

func hash(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}
