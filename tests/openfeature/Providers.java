// Asks a controller through OpenFeature's providers for Java: java -cp 'LIBRARIES/*' Providers.java GRPC_PORT HTTP_URL
//
// The first line has what each answers: a flag, one that does not exist, one without a tenant, one of a wrong type. The
// second has the flags that flagd's provider said had changed when the tenant acme went to dual.

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.openfeature.contrib.providers.flagd.Config;
import dev.openfeature.contrib.providers.flagd.FlagdOptions;
import dev.openfeature.contrib.providers.flagd.FlagdProvider;
import dev.openfeature.contrib.providers.ofrep.OfrepProvider;
import dev.openfeature.contrib.providers.ofrep.OfrepProviderOptions;
import dev.openfeature.sdk.Client;
import dev.openfeature.sdk.FlagEvaluationDetails;
import dev.openfeature.sdk.ImmutableContext;
import dev.openfeature.sdk.OpenFeatureAPI;
import dev.openfeature.sdk.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class Providers {
    public static void main(String[] given) throws Exception {
        var api = OpenFeatureAPI.getInstance();
        api.setProviderAndWait("ofrep", OfrepProvider.constructProvider(
                OfrepProviderOptions.builder().baseUrl(given[1]).build()));
        api.setProviderAndWait("flagd", new FlagdProvider(FlagdOptions.builder()
                .resolverType(Config.Resolver.RPC).host("127.0.0.1").port(Integer.parseInt(given[0]))
                .deadline(5000).build()));
        var acme = new ImmutableContext("acme");
        var json = new ObjectMapper();

        Map<String, Object> said = new LinkedHashMap<>();
        for (String name : List.of("ofrep", "flagd")) {
            Client client = api.getClient(name);
            said.put(name, List.of(
                    list(client.getStringDetails("orders", "none", acme)),
                    list(client.getStringDetails("payments", "none", acme)),
                    list(client.getStringDetails("orders", "none", new ImmutableContext())),
                    list(client.getBooleanDetails("orders", false, acme))));
        }
        Client flagd = api.getClient("flagd");
        var object = flagd.getObjectDetails("orders", new Value(), acme);
        said.put("object", Arrays.asList(object.getValue().asStructure().asObjectMap(), object.getVariant(),
                object.getReason()));

        var changes = new LinkedBlockingQueue<List<String>>();
        flagd.onProviderConfigurationChanged(event -> changes.add(new ArrayList<>(event.getFlagsChanged())));
        System.out.println(json.writeValueAsString(said));
        while (true) {
            var changed = changes.poll(30, TimeUnit.SECONDS);
            if (changed == null) {
                System.exit(1);
            }
            if (flagd.getStringValue("orders", "none", acme).equals("dual")) {
                System.out.println(json.writeValueAsString(changed));
                break;
            }
        }
        api.shutdown();
        System.exit(0);
    }

    static List<Object> list(FlagEvaluationDetails<?> found) {
        return Arrays.asList(found.getValue(), found.getVariant(), found.getReason(), found.getErrorCode(),
                found.getFlagMetadata() == null ? Map.of() : found.getFlagMetadata().asUnmodifiableMap());
    }
}
