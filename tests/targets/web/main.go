// Web is the truth for where requests spend their time: each page plants one kind of wait and measures it itself,
// with the clock that the runtime uses. HTTP/1 on one address, HTTP/2 (TLS, a certificate of its own) on
// another; the program also is the client.
//
// Commands: load1 and load2 ask for every page -n times over HTTP/1 or HTTP/2, one after the other, and answer when all
// are done; load1-PAGE and load2-PAGE for one page. pages tells, by page:
// {"class","count","planted_ns"}, where class is what an observer should call the planted time.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"targets/truth"
)

var (
	number = flag.Int("n", 20, "requests per page and load command")
	length = flag.Duration("length", 10*time.Millisecond, "time that a page plants")
)

// page is one route.
type page struct {
	name, class string
	plant       func()

	count, planted int64
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	p.plant()
	atomic.AddInt64(&p.planted, int64(time.Since(begin)))
	atomic.AddInt64(&p.count, 1)
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintln(w, p.name)
}

var pages = []*page{
	{name: "cpu", class: "cpu_user", plant: burn},
	{name: "kernel", class: "cpu_kernel", plant: readZeros},
	{name: "sleep", class: "sleep", plant: func() { time.Sleep(*length) }},
	{name: "mutex", class: "mutex", plant: waitMutex},
	{name: "rwmutex", class: "rwmutex", plant: waitRWMutex},
	{name: "chan", class: "chan", plant: waitChannel},
	{name: "select", class: "select", plant: waitSelect},
	{name: "waitgroup", class: "waitgroup", plant: waitGroup},
	{name: "cond", class: "cond", plant: waitCond},
	{name: "net-read", class: "net_read", plant: waitRead},
	{name: "net-write", class: "net_write", plant: waitWrite},
	{name: "net-accept", class: "net_accept", plant: waitAccept},
	{name: "net-dial", class: "net_dial", plant: waitDial},
	{name: "dns", class: "dns", plant: waitName},
	{name: "file", class: "file_io", plant: waitDisk},
	{name: "pipe", class: "file_io", plant: waitPipe},
	{name: "fault", class: "fault_minor", plant: touchPages},
	{name: "nothing", class: "", plant: func() {}},
}

func main() {
	flag.Parse()
	setUp()
	mux := http.NewServeMux()
	for _, p := range pages {
		mux.Handle("/"+p.name, p)
	}
	plain, secure := listen(), listen()
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}, NextProtos: []string{"h2"}}
	server1, server2 := &http.Server{Handler: mux}, &http.Server{Handler: mux, TLSConfig: config}
	go server1.Serve(plain)
	go server2.ServeTLS(secure, "", "")
	client1 := &http.Client{Transport: &http.Transport{}}
	client2 := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

	commands := map[string]func() map[string]interface{}{"pages": tell}
	url1, url2 := "http://"+plain.Addr().String(), "https://"+secure.Addr().String()
	commands["load1"] = func() map[string]interface{} { return load(client1, url1, 1, pages) }
	commands["load2"] = func() map[string]interface{} { return load(client2, url2, 2, pages) }
	for _, p := range pages {
		one := []*page{p}
		commands["load1-"+p.name] = func() map[string]interface{} { return load(client1, url1, 1, one) }
		commands["load2-"+p.name] = func() map[string]interface{} { return load(client2, url2, 2, one) }
	}
	server := truth.Server{
		Ready:    map[string]interface{}{"http1": url1, "http2": url2, "upstream": upstream},
		Commands: commands,
		Exit: func() (map[string]interface{}, int) {
			os.RemoveAll(folder)
			return tell(), 0
		},
	}
	server.Serve()
}

func tell() map[string]interface{} {
	all := map[string]interface{}{}
	for _, p := range pages {
		all[p.name] = map[string]interface{}{
			"class": p.class, "count": atomic.LoadInt64(&p.count), "planted_ns": atomic.LoadInt64(&p.planted)}
	}
	return map[string]interface{}{"pages": all}
}

func load(client *http.Client, url string, major int, list []*page) map[string]interface{} {
	done := 0
	for i := 0; i < *number; i++ {
		for _, p := range list {
			response, err := client.Get(url + "/" + p.name)
			if err != nil {
				return map[string]interface{}{"error": err.Error()}
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.ProtoMajor != major || response.StatusCode != http.StatusAccepted {
				return map[string]interface{}{"error": response.Proto + " " + response.Status}
			}
			done++
		}
	}
	return map[string]interface{}{"requests": done}
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	return l
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// --- on a CPU ---------------------------------------------------------------------------------------

var sink uint64

func burn() {
	for begin := time.Now(); time.Since(begin) < *length; {
		x := sink
		for i := uint64(0); i < 20000; i++ {
			x = x*6364136223846793005 + i
		}
		sink = x
	}
}

var zeros *os.File

func readZeros() {
	buffer := make([]byte, 1<<20)
	for begin := time.Now(); time.Since(begin) < *length; {
		_, err := io.ReadFull(zeros, buffer)
		check(err)
	}
}

// --- for each other ---------------------------------------------------------------------------------

func waitMutex() {
	var mu sync.Mutex
	held := make(chan bool)
	go holdMutex(&mu, held)
	<-held
	mu.Lock()
	mu.Unlock()
}

func holdMutex(mu *sync.Mutex, held chan bool) {
	mu.Lock()
	held <- true
	time.Sleep(*length)
	mu.Unlock()
}

func waitRWMutex() {
	var mu sync.RWMutex
	held := make(chan bool)
	go holdRWMutex(&mu, held)
	<-held
	mu.RLock()
	mu.RUnlock()
}

func holdRWMutex(mu *sync.RWMutex, held chan bool) {
	mu.Lock()
	held <- true
	time.Sleep(*length)
	mu.Unlock()
}

func waitChannel() {
	c := make(chan int)
	go sendLater(c)
	<-c
}

func sendLater(c chan int) {
	time.Sleep(*length)
	c <- 1
}

func waitSelect() {
	c, never := make(chan int), make(chan int)
	go sendLater(c)
	select {
	case <-c:
	case <-never:
	}
}

func waitGroup() {
	var wg sync.WaitGroup
	for i := 1; i <= 2; i++ {
		wg.Add(1)
		go workFor(&wg, *length/time.Duration(i))
	}
	wg.Wait()
}

func workFor(wg *sync.WaitGroup, d time.Duration) {
	time.Sleep(d)
	wg.Done()
}

func waitCond() {
	var mu sync.Mutex
	cond, ready := sync.NewCond(&mu), false
	go signalLater(cond, &ready)
	mu.Lock()
	for !ready {
		cond.Wait()
	}
	mu.Unlock()
}

func signalLater(cond *sync.Cond, ready *bool) {
	time.Sleep(*length)
	cond.L.Lock()
	*ready = true
	cond.L.Unlock()
	cond.Signal()
}

// --- for others -------------------------------------------------------------------------------------

var (
	upstream   string
	connection net.Conn
	resolver   *net.Resolver
	backlog    string
	folder     string
)

// setUp starts what pages wait for.
func setUp() {
	var err error
	zeros, err = os.Open("/dev/zero")
	check(err)
	l := listen()
	upstream = l.Addr().String()
	go answerLate(l)
	connection, err = net.Dial("tcp", upstream)
	check(err)
	names, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(err)
	go answerNames(names)
	resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", names.LocalAddr().String())
	}}
	backlog = fullListener()
	folder, err = os.MkdirTemp("/var/tmp", "web-target-")
	check(err)
}

func answerLate(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			for b := make([]byte, 1); ; {
				if _, err := c.Read(b); err != nil {
					return
				}
				time.Sleep(*length)
				c.Write(b)
			}
		}()
	}
}

func waitRead() {
	b := []byte{1}
	connection.Write(b)
	connection.Read(b)
}

func waitWrite() {
	l := listen()
	defer l.Close()
	go func() {
		c, err := l.Accept()
		check(err)
		time.Sleep(*length)
		io.Copy(io.Discard, c)
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	check(err)
	c.Write(make([]byte, 16<<20))
	c.Close()
}

func waitAccept() {
	l := listen()
	defer l.Close()
	go func() {
		time.Sleep(*length)
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
		}
	}()
	if c, err := l.Accept(); err == nil {
		c.Close()
	}
}

// waitDial connects to a socket whose queue is full, so the kernel drops its SYN.
func waitDial() {
	c, err := net.DialTimeout("tcp", backlog, *length)
	if err == nil {
		c.Close()
	}
}

func waitName() {
	resolver.LookupHost(context.Background(), "shop.test.")
}

// answerNames answers every query late: there is no such name.
func answerNames(c net.PacketConn) {
	b := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		time.Sleep(*length)
		if n >= 12 {
			b[2], b[3] = 0x81, 0x83
			c.WriteTo(b[:n], from)
		}
	}
}

func waitDisk() {
	f, err := os.CreateTemp(folder, "block-")
	check(err)
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 64<<10)
	for begin := time.Now(); time.Since(begin) < *length; {
		_, err := f.WriteAt(block, 0)
		check(err)
		check(f.Sync())
	}
}

func waitPipe() {
	r, w, err := os.Pipe()
	check(err)
	defer r.Close()
	go func() {
		time.Sleep(*length)
		w.Close()
	}()
	io.Copy(io.Discard, r)
}
