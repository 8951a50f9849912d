// Drives the official ngrok Go SDK, unmodified, in a process of its own: one JSON command a line on standard
// input, one JSON answer a line on standard output. The same as tests/system/drivers/python_sdk.py.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"sync"
	"time"

	"golang.ngrok.com/ngrok/v2"
)

type command struct {
	Op        string            `json:"op"`
	Address   string            `json:"address"`
	CA        string            `json:"ca"`
	Token     string            `json:"token"`
	Interval  int               `json:"interval"`
	Tolerance int               `json:"tolerance"`
	MultiLeg  bool              `json:"multi_leg"`
	Proto     string            `json:"proto"`
	To        string            `json:"to"`
	Domain    string            `json:"domain"`
	Proxy     string            `json:"proxy"`
	TLS       map[string]string `json:"tls"`
	URL       string            `json:"url"`
}

type answer map[string]any

type driver struct {
	lock      sync.Mutex
	agent     ngrok.Agent
	endpoints map[string]ngrok.Endpoint
	latencies []float64
	losses    []string
	events    []string
}

func main() {
	d := &driver{endpoints: map[string]ngrok.Endpoint{}, latencies: []float64{}, losses: []string{}, events: []string{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c command
		var made answer
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil {
			made, err = d.do(c)
		}
		if err != nil {
			made = answer{"error": err.Error(), "code": code(err)}
		}
		text, _ := json.Marshal(made)
		fmt.Println(string(text))
	}
}

var codes = regexp.MustCompile(`ERR_NGROK_\d+`)

// code returns what the service has called the error; in events it stands in the text alone.
func code(err error) string {
	var refused ngrok.Error
	if errors.As(err, &refused) && refused.Code() != "" {
		return refused.Code()
	}
	return codes.FindString(err.Error())
}

func (d *driver) do(c command) (answer, error) {
	switch c.Op {
	case "connect":
		return d.connect(c)
	case "diagnose":
		return d.diagnose(c)
	case "forward":
		return d.forward(c)
	case "listen":
		return d.listen(c)
	case "unbind":
		return answer{}, d.endpoints[c.URL].Close()
	case "close":
		return answer{}, d.agent.Disconnect()
	case "state":
		d.lock.Lock()
		defer d.lock.Unlock()
		return answer{"latencies": d.latencies, "losses": d.losses, "events": d.events}, nil
	}
	return nil, fmt.Errorf("unknown command %q", c.Op)
}

// connect makes one attempt at most: the SDK itself repeats a refused token for ever, so the first loss that
// carries a code of the service ends it.
func (d *driver) connect(c command) (answer, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(c.CA))
	refused := make(chan error, 1)
	agent, err := ngrok.NewAgent(
		ngrok.WithAuthtoken(c.Token),
		ngrok.WithAgentConnectURL(c.Address),
		ngrok.WithAgentConnectCAs(roots),
		ngrok.WithHeartbeatInterval(time.Duration(c.Interval)*time.Second),
		ngrok.WithHeartbeatTolerance(time.Duration(c.Tolerance)*time.Second),
		ngrok.WithMultiLeg(c.MultiLeg),
		ngrok.WithAutoConnect(false),
		ngrok.WithEventHandler(func(event ngrok.Event) { d.hear(event, refused) }),
	)
	if err != nil {
		return nil, err
	}
	d.agent = agent
	done := make(chan error, 1)
	go func() { done <- agent.Connect(context.Background()) }()
	select {
	case err = <-done:
	case err = <-refused:
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	session, err := agent.Session()
	if err != nil {
		return nil, err
	}
	return answer{"id": session.ID()}, nil
}

func (d *driver) hear(event ngrok.Event, refused chan error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if beat, ok := event.(*ngrok.EventAgentHeartbeatReceived); ok {
		d.latencies = append(d.latencies, float64(beat.Latency)/float64(time.Millisecond))
		return
	}
	d.events = append(d.events, event.EventType().String())
	if lost, ok := event.(*ngrok.EventAgentDisconnected); ok && lost.Error != nil {
		d.losses = append(d.losses, lost.Error.Error())
		if code(lost.Error) != "" {
			select {
			case refused <- lost.Error:
			default:
			}
		}
	}
}

func (d *driver) diagnose(c command) (answer, error) {
	probe, ok := d.agent.(ngrok.Diagnoser)
	if !ok {
		return nil, errors.New("this agent cannot diagnose")
	}
	context, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	found, err := probe.Diagnose(context, c.Address)
	if err != nil {
		return nil, err
	}
	return answer{"addr": found.Addr, "region": found.Region, "certificates": len(found.PeerCertificates)}, nil
}

func (d *driver) options(c command) ([]ngrok.EndpointOption, error) {
	options := []ngrok.EndpointOption{
		ngrok.WithURL(c.Proto + "://" + c.Domain),
		ngrok.WithMetadata("of the driver"),
		ngrok.WithName("driven"),
		ngrok.WithDescription("by the Go SDK"),
	}
	if c.TLS != nil {
		pair, err := tls.X509KeyPair([]byte(c.TLS["certificate"]), []byte(c.TLS["key"]))
		if err != nil {
			return nil, err
		}
		config := &tls.Config{Certificates: []tls.Certificate{pair}}
		options = append(options, ngrok.WithAgentTLSTermination(config))
	}
	return options, nil
}

func (d *driver) forward(c command) (answer, error) {
	options, err := d.options(c)
	if err != nil {
		return nil, err
	}
	further := []ngrok.UpstreamOption{}
	if c.Proxy != "" {
		further = append(further, ngrok.WithUpstreamProxyProto(ngrok.ProxyProtoVersion("v"+c.Proxy)))
	}
	made, err := d.agent.Forward(context.Background(), ngrok.WithUpstream(c.To, further...), options...)
	if err != nil {
		return nil, err
	}
	return d.keep(made), nil
}

// listen serves its endpoint in this process: HTTP, or an echo where the endpoint is none of HTTP.
func (d *driver) listen(c command) (answer, error) {
	options, err := d.options(c)
	if err != nil {
		return nil, err
	}
	listener, err := d.agent.Listen(context.Background(), options...)
	if err != nil {
		return nil, err
	}
	if c.Proto == "http" || c.Proto == "https" {
		go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "served by the SDK: %s\n", r.URL.Path)
		}))
	} else {
		go echo(listener)
	}
	return d.keep(listener), nil
}

func echo(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			io.Copy(connection, connection)
		}()
	}
}

func (d *driver) keep(endpoint ngrok.Endpoint) answer {
	url := endpoint.URL().String()
	d.endpoints[url] = endpoint
	return answer{"id": endpoint.ID(), "url": url, "proto": endpoint.Protocol()}
}
