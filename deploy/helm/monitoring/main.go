// Reads manifests from standard input, and decodes those of Prometheus' operator into its own types. Fields that these
// do not have are mistakes. Other manifests are left to kubernetes-validate.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	yamldocs "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	checked, wrong := 0, 0
	documents := yamldocs.NewYAMLReader(bufio.NewReader(os.Stdin))
	for {
		text, err := documents.Read()
		if err == io.EOF {
			break
		}
		var of struct{ APIVersion, Kind string }
		if err == nil {
			err = yaml.Unmarshal(text, &of)
		}
		if err == nil && of.APIVersion == "monitoring.coreos.com/v1" {
			checked++
			err = decode(of.Kind, text)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s %s: %v\n", of.APIVersion, of.Kind, err)
			wrong++
		}
	}
	fmt.Printf("%d manifests of Prometheus' operator checked\n", checked)
	if wrong > 0 {
		os.Exit(1)
	}
}

func decode(kind string, text []byte) error {
	switch kind {
	case "ServiceMonitor":
		return yaml.UnmarshalStrict(text, &monitoring.ServiceMonitor{})
	case "PrometheusRule":
		return yaml.UnmarshalStrict(text, &monitoring.PrometheusRule{})
	}
	return fmt.Errorf("this program knows no such kind: add it to decode")
}
