// SPDX-License-Identifier: Apache-2.0

// What Go's crypto/x509 says of a chain. It takes every trusted certificate for an anchor and knows no limit of
// depth. The lines are those of line.h.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func certificates(word string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	if word == "-" {
		return nil, nil
	}
	for _, text := range strings.Split(word, ",") {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		all = append(all, cert)
	}
	return all, nil
}

func judge(words []string) error {
	trust, err := certificates(words[6])
	if err != nil {
		return err
	}
	chain, err := certificates(words[7])
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: time.Unix(seconds, 0),
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if words[1] == "client" {
		options.KeyUsages[0] = x509.ExtKeyUsageClientAuth
	}
	for _, cert := range trust {
		options.Roots.AddCert(cert)
	}
	for _, cert := range chain[1:] {
		options.Intermediates.AddCert(cert)
	}
	if words[3] != "-" {
		name, err := base64.StdEncoding.DecodeString(words[3])
		if err != nil {
			return err
		}
		options.DNSName = string(name)
	}
	_, err = chain[0].Verify(options)
	return err
}

func main() {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		if err := judge(words); err != nil {
			fmt.Printf("%s no %q\n", words[0], err.Error())
		} else {
			fmt.Printf("%s ok\n", words[0])
		}
	}
}
