package bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.WindowStore;

/** Counts {@code api_called} per user over sliding windows and emits the users that reach a threshold. */
public final class Peer {
    private static final JsonFactory JSON = new JsonFactory();
    private static final LongAdder PROCESSED = new LongAdder();
    private static final Duration GRACE = Duration.ofHours(1);
    private static final long PROGRESS_EVERY_MS = 50;

    private Peer() {}

    /** Runs until SIGTERM. */
    public static void main(String[] arguments) throws InterruptedException {
        Map<String, String> options = options(arguments);
        KafkaStreams streams = new KafkaStreams(topology(options), settings(options));
        CountDownLatch stopped = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(20));
            stopped.countDown();
        }));
        streams.start();
        while (!stopped.await(PROGRESS_EVERY_MS, TimeUnit.MILLISECONDS)) {
            System.out.printf("progress %d %.6f%n", PROCESSED.sum(), System.nanoTime() / 1e9);
        }
    }

    private static Topology topology(Map<String, String> options) {
        long threshold = Long.parseLong(options.get("threshold"));
        Duration length = Duration.ofDays(Long.parseLong(options.get("days")));
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(options.get("topic"), Consumed.with(Serdes.String(), Serdes.ByteArray()))
            .filter((user, event) -> isCounted(event))
            .groupByKey(Grouped.with(Serdes.String(), Serdes.ByteArray()))
            .windowedBy(SlidingWindows.ofTimeDifferenceAndGrace(length, GRACE))
            .count(Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("count").withValueSerde(Serdes.Long()))
            .toStream()
            .<String, String>process(() -> new Reached(threshold))
            .to(options.get("output-topic"), Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    /** Forwards the windows that end at an event of the user and hold exactly the threshold. */
    private static final class Reached extends ContextualProcessor<Windowed<String>, Long, String, String> {
        private final long threshold;

        Reached(long threshold) {
            this.threshold = threshold;
        }

        @Override
        public void process(Record<Windowed<String>, Long> record) {
            Long count = record.value();
            Windowed<String> window = record.key();
            if (count != null && count == threshold && window.window().end() == record.timestamp()) {
                context().forward(new Record<>(window.key(), count.toString(), record.timestamp()));
            }
        }
    }

    /** Whether the event is one to count; also where events are counted as processed. */
    private static boolean isCounted(byte[] event) {
        PROCESSED.increment();
        try (JsonParser parser = JSON.createParser(event)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                if (field.equals("event")) {
                    return parser.getText().equals("api_called");
                }
                parser.skipChildren();
            }
            return false;
        } catch (IOException error) {
            throw new UncheckedIOException(new String(event, StandardCharsets.UTF_8), error);
        }
    }

    private static Properties settings(Map<String, String> options) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, options.get("name"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.get("bootstrap"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, options.get("state-dir"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        // A second thread measured no faster beside a broker on two cores, and a larger or no cache no different.
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        return settings;
    }

    private static Map<String, String> options(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i].substring(2), arguments[i + 1]);
        }
        return options;
    }
}
